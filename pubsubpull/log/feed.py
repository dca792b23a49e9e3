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

FEW = 100
"""Up to so many ids are read together with the present; they may be read again and again, while others write."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """Some changes as JSON text in UTF-8, and the cursor after them."""

    items: bytes
    """Items with commas between; of a compact page the lines of its models."""
    count: int
    cursor: Cursor
    more: bool
    """True where the log had further changes, for this reader or others, when the page was read.

    These may have been committed since the window of this page began.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows:
    """Some changes one by one, and the cursor after them."""

    rows: tuple[Row, ...]
    cursor: Cursor
    more: bool
    """As that of `Page`."""
    reading: Reading | None = dataclasses.field(default=None, repr=False)

    def cursor_after(self, version: int) -> Cursor:
        """Return the cursor of a reader that has seen these changes up to the one of this version."""
        if self.reading is None or not self.rows or version >= self.rows[-1].version:
            return self.cursor
        return self.reading.next(version)[0]


def present(using: str = "default") -> Present:
    """Read where the log is now: at its newest tick, or at a new one where something has come since.

    In a transaction of the caller's that tick, and the cursors of it, count once that has been committed.
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
    """Read where the log is now and, where that takes no second round trip, the page after the cursor.

    There is such a page after a settled cursor, if a few changes came since, of which none is large. Raises
    `CursorExpired`.
    """
    if compact or after is None or not after.settled:
        return present(using), None
    excluded, stars = hiding.columns(models)
    values = {
        "models": list(models),
        "low": after.seq,
        "seen": str(after.snapshot),
        "few": min(limit, FEW),
        "old": old,
        "excluded": excluded,
        "stars": stars,
    }
    (row,) = sql.run_named(using, sql.template("queries/feed/poll"), values, as_bytes=True)
    now = Present.of(row)
    if row["count"] is None or expiry.lacks(after, now.dropped, now.dropped_xid):
        return now, None
    batch = shapes.Batch(dropped=row["gone"], count=row["count"], last=row["last"] or 0, cut=False, items=row["items"])
    return now, _page(walk(after, now, lambda _: batch, limit=limit, using=using))


def page(
    after: Cursor | None,
    *,
    limit: int,
    models: Collection[str] | None = None,
    using: str = "default",
    now: Present | None = None,
    size: int = sizes.PAGE,
    old: bool = True,
    compact: bool = False,
) -> Page:
    """Return at most `limit` changes of `models` (all, if None) after the cursor (from the log's start, if None).

    They come to about `size` bytes at most, but for a single change that is larger. Without `old`, updates come without
    the row before; in a `compact` page, all but deletes do, and without the names of the columns. `now` is the present,
    where the caller has just read it. Raises `CursorExpired`.
    """
    now = now or present(using)
    selection = Selection(models=models, limit=limit, size=size, old=old, using=using)
    read = functools.partial(selection.read, shapes.COMPACT if compact else shapes.PAGE)
    return _page(walk(after or now.start(), now, read, limit=limit, using=using))


def rows(
    after: Cursor | None,
    *,
    limit: int,
    models: Collection[str] | None = None,
    using: str = "default",
    now: Present | None = None,
    size: int = sizes.PAGE,
) -> Rows:
    """Return the changes that `page` returns, one by one."""
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
