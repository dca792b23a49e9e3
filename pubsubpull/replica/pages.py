"""Pages as they are pulled: JSON text that only PostgreSQL reads, and what stands around it."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import tempfile
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

from pubsubpull import exceptions
from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pubsubpull.pull.client import Client

IN_MEMORY = 2**24
"""So many bytes of pages are kept in memory."""
_END = re.compile(r'"cursor":"([^"\\]*)","more":(true|false)\}\s*\Z')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """A page of changes as JSON text, which goes on from the cursor `previous`."""

    body: str
    previous: str
    cursor: str
    more: bool

    @property
    def empty(self) -> bool:
        """Say whether it brings nothing, as most do that were waited for."""
        return self.body.startswith('{"items":[]')


class Spool:
    """Pages, one behind the other. Where there are many, their text is on the disk. Close it when it has been read."""

    def __init__(self, first: Page | None = None) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  it is closed with this
        self._kept: list[tuple[Page, int]] = []
        if first is not None:
            self.add(first)

    def add(self, page: Page) -> None:
        """Keep a page behind the others; an empty one only for its cursor."""
        text = b"" if page.empty else page.body.encode()
        try:
            self._file.seek(0, os.SEEK_END)
            self._file.write(text)
        except OSError as error:
            raise exceptions.ReplicaError(
                f"The temporary folder {tempfile.gettempdir()} does not take what is kept there: {error.strerror}."
            ) from error
        self._kept.append((dataclasses.replace(page, body=""), len(text)))

    def __iter__(self) -> Iterator[Page]:
        """Give the pages that bring anything, read one after the other."""
        at = 0
        for page, size in self._kept:
            if size:
                self._file.seek(at)
                yield dataclasses.replace(page, body=self._file.read(size).decode())
            at += size

    @property
    def cursor(self) -> str:
        """The cursor after the last page."""
        return self._kept[-1][0].cursor

    def close(self) -> None:
        """Forget the pages."""
        self._file.close()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """The changes of one model in a compact page: a JSON array, whose rows are the values of `columns`."""

    columns: tuple[str, ...]
    items: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compact:
    """A compact page of changes, by model, which goes on from the cursor `previous`."""

    parts: Mapping[str, Part]
    previous: str
    cursor: str
    more: bool

    @property
    def empty(self) -> bool:
        """Say whether it brings nothing."""
        return not self.parts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows:
    """A page of rows as JSON text, and the key to go on after, None where these were the last."""

    body: str
    last: str | None
    count: int


def changes(
    client: Client, models: Iterable[str], after: str, *, wait: float = 0, limit: int | None = None, old: bool = True
) -> Page:
    """Pull the page after a cursor; without `old`, updates come without the row before.

    As many changes as the service gives at once, unless there is a `limit`.
    """
    given: dict[str, Any] = {"models": ",".join(sorted(models)), "after": after, "limit": limit}
    if wait:
        given["wait"] = wait
    if not old:
        given["old"] = "false"
    body = client.text("changes/", params=given, timeout=client.timeout + wait)
    found = _END.search(body[-1000:])
    if found:
        return Page(body=body, previous=after, cursor=found[1], more=found[2] == "true")
    try:
        read = jsontext.loads(body)
        return Page(body=body, previous=after, cursor=str(read["cursor"]), more=bool(read["more"]))
    except (ValueError, KeyError, TypeError) as error:
        raise exceptions.ServiceError(f"{client.url} gave what is no page of changes.") from error


def compact(client: Client, models: Iterable[str], after: str, *, limit: int | None = None) -> Compact | Page:
    """Pull the page after a cursor in its compact form, or whole where the service writes or knows no such form."""
    given = {"models": ",".join(sorted(models)), "after": after, "limit": limit, "compact": "true"}
    try:
        body = client.text("changes/", params=given)
        _, *lines, end = body.split("\n")
        parts, found = dict(map(_part, lines)), _END.search(end)
        if len(parts) < len(lines):
            found = None  # a model comes once
    except exceptions.Refused as error:
        if error.status != 400:
            raise
        found = None
    except (ValueError, KeyError, TypeError):
        found = None
    if not found:
        return changes(client, models, after, limit=limit, old=False)
    return Compact(parts=parts, previous=after, cursor=found[1], more=found[2] == "true")


def _part(line: str) -> tuple[str, Part]:
    """Return a model and its part of a compact page, whose line only its head is read of."""
    head, _, items = line.partition(',"items":')  # a text in it has its quotes escaped
    ((model, shape),) = json.loads(f"{{{head}}}}}").items()
    return model, Part(columns=tuple(shape["columns"]), items=items.removesuffix(",").removesuffix("}"))


def up_to_now(pull: Callable[[str], Page], after: str) -> Iterator[Page]:
    """Pull page after page, up to a moment that is not before this call.

    A backlog is paged up to where it ended when its first page was pulled. A cursor may be in the midst of one that
    is old, so what has come since follows.
    """
    ends = 0
    while ends < 2:
        page = pull(after)
        yield page
        after, ends = page.cursor, ends + (not page.more)


def rows(
    client: Client,
    model: str,
    *,
    at: str | None,
    until: str | None,
    cursor: str,
    limit: int | None = None,
    newest: bool = False,
) -> Rows:
    """Pull the rows after a key, up to another; with `newest` from the highest key down."""
    given = {"limit": limit, "cursor": cursor, "after": at, "until": until, "newest": "true" if newest else None}
    url = f"models/{quote(model)}/instances/"
    body = client.text(url, params={name: value for name, value in given.items() if value is not None})
    begin = body.rfind('],"next":')
    try:
        following = json.loads("{" + body[begin + 2 :])["next"] if begin >= 0 else jsontext.loads(body)["next"]
        last = parse_qs(urlsplit(following).query, keep_blank_values=True)["after"][0] if following else None
    except (ValueError, KeyError, TypeError) as error:
        raise exceptions.ServiceError(f"{client.url} gave what is no page of rows.") from error
    return Rows(body=body, last=last, count=body.count('{"key":"'))  # PostgreSQL puts a space after a row's own colons
