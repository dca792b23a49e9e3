"""Pull pages, and spool many of them to the disk."""

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
"""The bytes of pages that a spool holds in memory before it uses the disk."""


class Spool:
    """Consecutive pages, on the disk if they are many. Close it after use."""

    def __init__(self, first: Page | None = None, *, in_memory: int = IN_MEMORY) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=in_memory)  # noqa: SIM115  `close` closes it
        self._kept: list[tuple[Page, int]] = []
        if first is not None:
            self.add(first)

    def add(self, page: Page) -> None:
        """Append a page; of an empty page, only its cursor. Raises `ReplicaError` if the disk is full."""
        text = b"" if page.empty else page.body.encode()
        try:
            self._file.seek(0, os.SEEK_END)  # Reading may have moved the position.
            self._file.write(text)
        except OSError as error:
            raise exceptions.ReplicaError(
                f"The temporary folder {tempfile.gettempdir()} does not take pages: {error.strerror}."
            ) from error
        self._kept.append((dataclasses.replace(page, body=""), len(text)))

    def __iter__(self) -> Iterator[Page]:
        """Yield the pages that are not empty, reading one at a time."""
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
        """Delete the pages."""
        self._file.close()


def changes(
    client: Client, models: Iterable[str], after: str, *, wait: float = 0, limit: int | None = None, old: bool = True
) -> Page:
    """Return the page of changes after a cursor. Raises `ServiceError` and its subclasses.

    The service may hold the call for `wait` seconds until it has changes. `limit` is the most changes of the page; by
    default, the service decides. Without `old`, updates come without the row before the change.
    """
    params: dict[str, Any] = {"models": ",".join(sorted(models)), "after": after or None, "limit": limit}
    if wait:
        params["wait"] = wait
    if not old:
        params["old"] = "false"
    # The time-out counts from the end of the wait, for which the service may hold the call.
    body = client.text("changes/", params=params, timeout=client.timeout + wait)
    try:
        return wire.read(body, previous=after)
    except ValueError as error:
        raise exceptions.ServiceError(f"The answer of {client.url} is no page of changes.") from error


def compact(client: Client, models: Iterable[str], after: str, *, limit: int | None = None) -> Compact | Page:
    """Return the page after a cursor in the compact form, or whole if the service does not give that form."""
    given = {"models": ",".join(sorted(models)), "after": after, "limit": limit, "compact": "true"}
    try:
        page = wire.read_compact(client.text("changes/", params=given), previous=after)
    except exceptions.RequestRefused as error:
        if error.status != 400:
            raise
        page = None  # An older service refuses the parameter.
    return changes(client, models, after, limit=limit, old=False) if page is None else page


def up_to_now(pull: Callable[[str], Page], after: str) -> Iterator[Page]:
    """Yield page after page, up to a moment after this call."""
    # Two ends. The pages of a backlog end at the state of their first page, and `after` may be within an old backlog;
    # only the pages after its end reach the present.
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
    """Return a page of the rows after the key `at`, up to `until`; with `newest`, from the highest key down.

    `cursor` is the cursor taken before the first row, which the service gives back. Raises `ServiceError`.
    """
    given = {"limit": limit, "cursor": cursor, "after": at, "until": until, "newest": "true" if newest else None}
    url = f"models/{quote(model)}/instances/"
    body = client.text(url, params={name: value for name, value in given.items() if value is not None})
    try:
        return wire.read_rows(body)
    except ValueError as error:
        raise exceptions.ServiceError(f"The answer of {client.url} is no page of rows.") from error
