"""The walk from a cursor to the present: one query, or several where unused ids lie between."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Generic, TypeVar

from pubsubpull.capture import sql
from pubsubpull.log import expiry
from pubsubpull.log.cursor import Window
from pubsubpull.log.present import Present
from pubsubpull.log.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from pubsubpull.log.cursor import Cursor
    from pubsubpull.log.shapes import Batch

T = TypeVar("T")

SCAN = 20_000
"""The most ids that one page looks at. A page of a quiet model may therefore be empty and still say `more`."""
GAPS = 50
"""The most queries of one page, each past a gap in the ids that is wider than a page looks at."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stretch(Generic[T]):
    """The part of the log that a page covers."""

    cursor: Cursor
    """The cursor after this part."""
    more: bool
    """True if the log had further changes, of any model, when this part was read."""
    batch: Batch[T] | None = None
    """The changes; None if no query was needed."""
    reading: Reading | None = None
    """The query that has read the batch."""


def walk(after: Cursor, now: Present, read: Callable[[Reading], Batch[T]], *, limit: int, using: str) -> Stretch[T]:
    """Read up to `limit` changes after a cursor, past gaps in the ids. Raises `CursorExpired`."""
    # Bounded: each wide gap costs a query, and one call must not pass any number of them.
    for _ in range(GAPS):
        reading = plan(after, now)
        if reading is None:
            return Stretch(cursor=after, more=False)
        # The frequent answer of a poll: nothing was written, and no query is needed to say so.
        if reading.holds_nothing:
            return Stretch(cursor=reading.next(reading.window.top)[0], more=False)
        batch = read(reading)
        # Before the batch is used: retention may have dropped a partition since the present was read.
        check_again(reading, batch.dropped, now, using)
        # A page that was cut ends at its last change; any other has seen all ids that it looked at.
        is_full = batch.cut or batch.count == limit
        reached = batch.last if is_full else end_of(reading, now, empty=not batch.count, using=using)
        after, more = reading.next(reached)
        if not (more and reading.is_gap_before(after)):
            break
    return Stretch(cursor=after, more=more or after.tick < now.tick, batch=batch, reading=reading)


def plan(after: Cursor, now: Present) -> Reading | None:
    """Return the next query; None on a standby that lags behind the cursor. Raises `CursorExpired`."""
    expiry.check(after, now)
    if expiry.is_ahead(after, now):
        return None
    window = after.window
    # A window that has begun keeps its snapshot, so that each of its pages is the same however often it is read.
    if window is None:
        window = Window(seq=now.seq, floor=now.floor, snapshot=now.snapshot, last=0, top=now.top)
        after = dataclasses.replace(after, history=now.history, tick=now.tick)
    low = max(window.last, after.seq)
    return Reading(after=after, window=window, high=min(window.top, low + SCAN), restored=now.restored)


def check_again(reading: Reading, dropped: int, now: Present, using: str) -> None:
    """Raise `CursorExpired` if a partition was dropped after the present was read, and a change may be missing.

    `dropped` is the id up to which the log was gone in the snapshot of the query.
    """
    if dropped != now.dropped:
        expiry.check(reading.after, Present.read(using))


def end_of(reading: Reading, now: Present, *, empty: bool, using: str) -> int:
    """Return the id up to which a page that is not full has read. An empty page also passes the gap that follows."""
    if not empty or reading.high >= reading.window.top:
        return reading.high
    query = sql.compose("queries/feed/next_id", last=reading.high, top=reading.window.top)
    ((following, dropped),) = sql.run(using, query)
    # A partition that was just dropped looks like a gap.
    check_again(reading, dropped, now, using)
    return reading.window.top if following is None else following - 1
