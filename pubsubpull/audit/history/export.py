"""Exports of histories as CSV and NDJSON, streamed: an export of any length takes little memory."""

from __future__ import annotations

import csv
import datetime as dt
import re
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse

from pubsubpull.audit.history import history
from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from django.http import HttpRequest

    from pubsubpull.audit.history.results import Entry

CHANGES_PER_QUERY = 200
"""Changes that are read at a time."""
CHUNK_SIZE = 32_768
"""Characters that are sent at a time, or some more."""
MEDIA_TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
HEAD_COLUMNS = ("version", "at", "op", "model", "key", "user_id", "user", "request", "source", "method", "path", "ip")
CHANGE_COLUMNS = ("column", "old", "new")
# The full-width ones as well: some spreadsheets read them as signs.
SIGNS = "=+\\-@＝＋－＠"  # noqa: RUF001
FORMULA = re.compile(rf"\s*[{SIGNS}]|[\t\r\n]")
"""The start of a cell that a spreadsheet may read as a formula."""
INNER_SIGN = re.compile(rf"([\s;\"']++)([{SIGNS}])?")
"""A separator within a cell, if a spreadsheet splits at semicolons or tabs, and the sign after it."""
SEPARATORS = frozenset(";\t\r\n")
PLAIN_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def response(
    request: HttpRequest, entries: Iterable[Entry], *, kind: str, name: str, mark: bool = False
) -> StreamingHttpResponse:
    """Return a response that streams a history as a file.

    `kind` is a key of MEDIA_TYPES, `name` the file's name without its ending. With `mark` a CSV begins with the byte
    order mark, without which Excel does not read it as UTF-8.
    """
    parts = chunks(entries, kind=kind, mark=mark)
    answer = StreamingHttpResponse(
        _read_in_threads(parts) if isinstance(request, ASGIRequest) else parts,
        content_type=f"{MEDIA_TYPES[kind]}; charset=utf-8",
    )
    # A key may be any text: a quote or a line break must not end the header.
    answer.headers["Content-Disposition"] = f'attachment; filename="{re.sub(r"[^A-Za-z0-9._-]+", "-", name)}.{kind}"'
    # The values are written by users: no browser may take the file for HTML.
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def entries(*target: Any, **asked: Any) -> Iterator[Entry]:
    """Yield all changes of a history, newest first. The arguments are those of `history`."""
    before = asked.pop("before", None)
    while True:
        page = history.history(*target, **asked, before=before, limit=CHANGES_PER_QUERY)
        yield from page
        before = page.next
        if before is None:
            return


def chunks(entries: Iterable[Entry], *, kind: str, mark: bool = False) -> Iterator[bytes]:
    """Yield the bytes of an export, about CHUNK_SIZE at a time."""
    waiting: list[str] = []
    size = 0
    for text in _as_ndjson(entries) if kind == "ndjson" else _as_csv(entries, mark):
        waiting.append(text)
        size += len(text)
        if size >= CHUNK_SIZE:
            yield "".join(waiting).encode()
            waiting, size = [], 0
    if waiting:
        yield "".join(waiting).encode()


def _as_ndjson(entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        yield jsontext.dumps(line(entry)) + "\n"


def _as_csv(entries: Iterable[Entry], mark: bool) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield ("\ufeff" if mark else "") + writer.writerow((*HEAD_COLUMNS, *CHANGE_COLUMNS))
    # Each cell goes through `cell`: a column's value is written by users, and may be a formula.
    for entry in entries:
        head = [cell(value) for value in _head(entry)]
        for row in rows(entry):
            yield writer.writerow([*head, *map(cell, row)])


def line(entry: Entry) -> dict[str, Any]:
    """Return the object of a change in an NDJSON export: the trail's item with model, key, and the whole rows."""
    return {
        "version": entry.version,
        "op": entry.op,
        "at": _at(entry),
        "model": entry.model,
        "key": entry.key,
        "changed": entry.changed,
        "old": entry.old,
        "new": entry.new,
        "request": {name: value for name, value in entry.request.items() if name != "xid"} if entry.request else None,
    }


def rows(entry: Entry) -> list[tuple[str | None, Any, Any]]:
    """Return the lines of a change in a CSV: column, old and new value. A change without columns has one empty line.

    For a row that a baseline recorded, each column has a line.
    """
    changed = entry.changed
    if entry.is_baseline and entry.new:
        changed = {name: (value, value) for name, value in sorted(entry.new.items())}
    return [(column, old, new) for column, (old, new) in changed.items()] or [(None, None, None)]


def _head(entry: Entry) -> list[Any]:
    request = entry.request or {}
    origin = [request.get(name) for name in ("user_id", "user_name", "id", "source", "method", "path", "ip")]
    return [entry.version, _at(entry), entry.op, entry.model, entry.key, *origin]


def cell(value: Any) -> str:
    """Return a value as a cell that no spreadsheet reads as a formula: =1+1 → '=1+1, a;=1 → a;'=1, -1 → -1."""
    text = "" if value is None else value if isinstance(value, str) else jsontext.dumps(value)
    # A negative number begins with a sign, and is harmless.
    if PLAIN_NUMBER.fullmatch(text):
        return text
    text = INNER_SIGN.sub(_quoted, text)
    return f"'{text}" if FORMULA.match(text) else text


def _quoted(match: re.Match[str]) -> str:
    return f"{match[1]}'{match[2]}" if match[2] and not SEPARATORS.isdisjoint(match[1]) else match[0]


def _at(entry: Entry) -> str:
    return entry.at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


class _Echo:
    """A file that returns each text written to it, and keeps none of them."""

    def write(self, value: str) -> str:
        return value


async def _read_in_threads(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the parts under ASGI."""
    # In threads, since queries block; and one by one: Django would read a plain iterator whole before it sends any.
    read = sync_to_async(lambda: next(parts, None))
    while (part := await read()) is not None:
        yield part
