"""Pages as they are pulled, and many of them kept on the disk."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pubsubpull import exceptions
from pubsubpull.wire import pages as wire
from pubsubpull.wire.pages import Compact, Page, Part, Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pubsubpull.pull.client import Client

__all__ = ["Compact", "Page", "Part", "Rows", "Spool", "changes", "compact", "rows", "up_to_now"]

IN_MEMORY = 2**24
"""So many bytes of pages are kept in memory."""


class Spool:
    """Pages, one behind the other. Where there are many, their text is on the disk. Close it when it has been read."""

    def __init__(self, first: Page | None = None, *, in_memory: int = IN_MEMORY) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=in_memory)  # noqa: SIM115  it is closed with this
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


def changes(
    client: Client, models: Iterable[str], after: str, *, wait: float = 0, limit: int | None = None, old: bool = True
) -> Page:
    """Pull the page after a cursor; without `old`, updates come without the row before.

    As many changes as the service gives at once, unless there is a `limit`.
    """
    given: dict[str, Any] = {"models": ",".join(sorted(models)), "after": after or None, "limit": limit}
    if wait:
        given["wait"] = wait
    if not old:
        given["old"] = "false"
    body = client.text("changes/", params=given, timeout=client.timeout + wait)
    try:
        return wire.read(body, previous=after)
    except ValueError as error:
        raise exceptions.ServiceError(f"{client.url} gave what is no page of changes.") from error


def compact(client: Client, models: Iterable[str], after: str, *, limit: int | None = None) -> Compact | Page:
    """Pull the page after a cursor in its compact form, or whole if the service writes or knows no such form."""
    given = {"models": ",".join(sorted(models)), "after": after, "limit": limit, "compact": "true"}
    try:
        page = wire.read_compact(client.text("changes/", params=given), previous=after)
    except exceptions.RequestRefused as error:
        if error.status != 400:
            raise
        page = None
    return changes(client, models, after, limit=limit, old=False) if page is None else page


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
    try:
        return wire.read_rows(body)
    except ValueError as error:
        raise exceptions.ServiceError(f"{client.url} gave what is no page of rows.") from error
