"""The feed: pages of changes after a cursor, complete and in order, while others write."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

from pubsubpull.capture import hiding, sql
from pubsubpull.log import expiry, shapes, sizes
from pubsubpull.log.present import Present
from pubsubpull.log.reading import Selection
from pubsubpull.log.walk import walk

if TYPE_CHECKING:
    from collections.abc import Collection

    from pubsubpull.log.cursor import Cursor
    from pubsubpull.log.reading import Reading
    from pubsubpull.log.walk import Stretch
    from pubsubpull.wire.items import Row

POLLED_IDS = 100
"""The most ids that `poll` reads together with the present. Few, since each poll may read the same ids again."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """Some changes as JSON text in UTF-8, and the cursor after them."""

    items: bytes
    """The items with commas between them; in a compact page, the lines of its models."""
    count: int
    """The number of changes."""
    cursor: Cursor
    """The cursor after the page."""
    more: bool
    """True if the log had further changes, of any model, when the page was read.

    Some of these may have been committed after the page's first cursor was taken.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows:
    """Some changes one by one, and the cursor after them."""

    rows: tuple[Row, ...]
    """The changes, by version."""
    cursor: Cursor
    """The cursor after them."""
    more: bool
    """True if the log had further changes, as in `Page`."""
    reading: Reading | None = dataclasses.field(default=None, repr=False)
    """The query that has read the changes."""

    def cursor_after(self, version: int) -> Cursor:
        """Return the cursor of a reader that has seen these changes up to and including a version."""
        # The last row ends the page: its cursor is also past the ids of other models, which would be read again.
        if self.reading is None or not self.rows or version >= self.rows[-1].version:
            return self.cursor
        return self.reading.next(version)[0]


def present(using: str = "default") -> Present:
    """Return the present of the log: its newest tick, or a new tick if changes came after that.

    Within a transaction of the caller, cursors of a new tick are valid once the transaction has been committed.
    """
    return Present.read(using)


def poll(
    after: Cursor | None,
    *,
    limit: int,
    models: Collection[str],
    using: str = "default",
    old: bool = True,
    compact: bool = False,
) -> tuple[Present, Page | None]:
    """Return the present and, if one round trip can read it too, the page after the cursor; else None for the page.

    One round trip is enough for a settled cursor with few and small changes after it. The arguments are those of
    `page`. Raises `CursorExpired`.
    """
    # A cursor that is not settled has stragglers to look for: that takes the queries of `page`.
    if compact or after is None or not after.settled:
        return present(using), None
    excluded, stars = hiding.columns(models)
    values = {
        "models": list(models),
        "low": after.seq,
        "seen": str(after.snapshot),
        "few": min(limit, POLLED_IDS),
        "old": old,
        "excluded": excluded,
        "stars": stars,
    }
    (row,) = sql.run_named(using, sql.template("queries/feed/poll"), values, as_bytes=True)
    now = Present.of(row)
    # A cursor that retention has overtaken gets its error from `page`, which names the reason.
    if row["count"] is None or expiry.lacks(after, now.dropped, now.dropped_xid):
        return now, None
    # The walk checks the cursor against this present once more, so that both ways to a page refuse the same cursors.
    batch = shapes.Batch(dropped=row["gone"], count=row["count"], last=row["last"] or 0, cut=False, items=row["items"])
    return now, _page(walk(after, now, lambda _: batch, limit=limit, using=using))


def page(
    after: Cursor | None,
    *,
    limit: int,
    models: Collection[str] | None = None,
    using: str = "default",
    now: Present | None = None,
    size: int = sizes.PAGE_BYTES,
    old: bool = True,
    compact: bool = False,
) -> Page:
    """Return at most `limit` changes of `models` (None: of all) after the cursor (None: from the log's start).

    The page has at most about `size` bytes, except that a single larger change is a page by itself. It looks at no more
    than `walk.SCAN` ids: it may be empty although more changes follow. With `old=False`, updates have no row before. In
    a compact page only deletes have it, and the columns are named once a model. `now` is the present, if the caller has
    just read it. Raises `CursorExpired`.
    """
    # The present is read first, in a transaction of its own: what is committed later belongs to a later page.
    now = now or present(using)
    selection = Selection(models=models, limit=limit, size=size, old=old, using=using)
    read = functools.partial(selection.read, shapes.COMPACT_PAGE if compact else shapes.TEXT_PAGE)
    return _page(walk(after or now.start(), now, read, limit=limit, using=using))


def rows(
    after: Cursor | None,
    *,
    limit: int,
    models: Collection[str] | None = None,
    using: str = "default",
    now: Present | None = None,
    size: int = sizes.PAGE_BYTES,
) -> Rows:
    """Return the changes that `page` returns, one by one. Raises `CursorExpired`."""
    now = now or present(using)
    selection = Selection(models=models, limit=limit, size=size, using=using)
    read = functools.partial(selection.read, shapes.ROWS)
    stretch = walk(after or now.start(), now, read, limit=limit, using=using)
    changes = stretch.batch.items if stretch.batch else ()
    return Rows(rows=changes, cursor=stretch.cursor, more=stretch.more, reading=stretch.reading)


def _page(stretch: Stretch[bytes]) -> Page:
    batch = stretch.batch
    return Page(
        items=batch.items if batch else b"",
        count=batch.count if batch else 0,
        cursor=stretch.cursor,
        more=stretch.more,
    )
