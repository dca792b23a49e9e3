"""Exporting histories as CSV and NDJSON, change by change, so that one of any length takes little memory."""

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

    from pubsubpull.audit.history.history import Entry

PAGE = 200
"""Changes that are read at a time."""
PART = 32_768
"""Bytes that are sent at a time, about."""
TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
HEAD = ("version", "at", "op", "model", "key", "user_id", "user", "request", "source", "method", "path", "ip")
CHANGE = ("column", "old", "new")
SIGNS = "=+\\-@＝＋－＠"  # noqa: RUF001  spreadsheets take the wide ones for signs too
FORMULA = re.compile(rf"\s*[{SIGNS}]|[\t\r\n]")
BETWEEN = re.compile(rf"([\s;\"']++)([{SIGNS}])?")
"""What may lie between two cells, and the sign after it, where a spreadsheet separates by semicolons or tabs."""
SEPARATORS = frozenset(";\t\r\n")
NUMBER = re.compile(r"-?\d+(\.\d+)?")


def response(
    request: HttpRequest, entries: Iterable[Entry], *, kind: str, name: str, mark: bool = False
) -> StreamingHttpResponse:
    """Return a history as a file, `kind` one of TYPES. With `mark` a CSV begins with the mark that Excel needs."""
    parts = chunks(entries, kind=kind, mark=mark)
    answer = StreamingHttpResponse(
        _later(parts) if isinstance(request, ASGIRequest) else parts, content_type=f"{TYPES[kind]}; charset=utf-8"
    )
    answer.headers["Content-Disposition"] = f'attachment; filename="{re.sub(r"[^A-Za-z0-9._-]+", "-", name)}.{kind}"'
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def entries(*target: Any, **asked: Any) -> Iterator[Entry]:
    """Give all changes of a history, newest first, by pages; `asked` is as for `history`."""
    before = asked.pop("before", None)
    while True:
        page = history.history(*target, **asked, before=before, limit=PAGE)
        yield from page
        before = page.next
        if before is None:
            return


def chunks(entries: Iterable[Entry], *, kind: str, mark: bool = False) -> Iterator[bytes]:
    """Give the file's bytes, some at a time."""
    waiting: list[str] = []
    size = 0
    for one in _as_ndjson(entries) if kind == "ndjson" else _as_csv(entries, mark):
        waiting.append(one)
        size += len(one)
        if size >= PART:
            yield "".join(waiting).encode()
            waiting, size = [], 0
    if waiting:
        yield "".join(waiting).encode()


def _as_ndjson(entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        yield jsontext.dumps(line(entry)) + "\n"


def _as_csv(entries: Iterable[Entry], mark: bool) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield ("\ufeff" if mark else "") + writer.writerow((*HEAD, *CHANGE))
    for entry in entries:
        head = [cell(value) for value in _head(entry)]
        for row in rows(entry):
            yield writer.writerow([*head, *map(cell, row)])


def line(entry: Entry) -> dict[str, Any]:
    """Return a change as an object of an NDJSON export: the trail's item, with its model, key and whole rows."""
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
    """Return what a change's lines have each: column, old and new; of a change without any, one empty line.

    Of a row that was only recorded, each column has a line.
    """
    changed = entry.changed
    if entry.is_baseline and entry.new:
        changed = {name: (value, value) for name, value in sorted(entry.new.items())}
    return [(column, old, new) for column, (old, new) in changed.items()] or [(None, None, None)]


def _head(entry: Entry) -> list[Any]:
    request = entry.request or {}
    who = [request.get(name) for name in ("user_id", "user_name", "id", "source", "method", "path", "ip")]
    return [entry.version, _at(entry), entry.op, entry.model, entry.key, *who]


def cell(value: Any) -> str:
    """Return a value as a cell that no spreadsheet takes for a formula: =1+1 → '=1+1, a;=1 → a;'=1, -1 → -1."""
    found = "" if value is None else value if isinstance(value, str) else jsontext.dumps(value)
    if NUMBER.fullmatch(found):
        return found
    found = BETWEEN.sub(_inner, found)
    return f"'{found}" if FORMULA.match(found) else found


def _inner(found: re.Match[str]) -> str:
    return f"{found[1]}'{found[2]}" if found[2] and not SEPARATORS.isdisjoint(found[1]) else found[0]


def _at(entry: Entry) -> str:
    return entry.at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


class _Echo:
    """A file that gives back what is written to it, and keeps none of it."""

    def write(self, value: str) -> str:
        return value


async def _later(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Give the parts under ASGI, where Django would read all of a plain iterator first."""
    read = sync_to_async(lambda: next(parts, None))
    while (part := await read()) is not None:
        yield part
