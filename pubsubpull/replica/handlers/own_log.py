"""Pages of this service's own log, read in process: no HTTP, no token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pubsubpull.log import feed
from pubsubpull.log.cursor import Cursor
from pubsubpull.wire import pages

if TYPE_CHECKING:
    from collections.abc import Collection

    from pubsubpull.log.present import Present
    from pubsubpull.wire.pages import Page

PAGE = 1000
"""The most changes of a page, unless a caller says otherwise."""


def page(sources: Collection[str], after: str, *, limit: int, using: str, now: Present | None = None) -> Page:
    """Return the page of changes after a cursor, as another service would be given it. Raises `CursorExpired`."""
    read = feed.page(Cursor.decode(after), limit=limit, models=sorted(sources), using=using, now=now)
    cursor = read.cursor.encode()
    # Written, and read again by the handler: it gets the same values from its own log as from another service.
    body = pages.write(read.items, cursor=cursor, more=read.more)
    return pages.Page(body=body.decode(), previous=after, cursor=cursor, more=read.more)
