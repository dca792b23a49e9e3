"""The walk from a cursor to the present: one query, or several where ids that are not there lie between."""

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
"""How many ids a page looks at, at most; a page for a quiet model may so be empty and still say `more`."""
GAPS = 50
"""How many gaps in the ids, each wider than that, a page goes beyond, at most."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stretch(Generic[T]):
    """What lies between a cursor and the one that follows it."""

    cursor: Cursor
    """The cursor after it."""
    more: bool
    """True where the log had further changes, for this reader or others, when it was read."""
    batch: Batch[T] | None = None
    """None where there was nothing to look for."""
    reading: Reading | None = None
    """The query that has read the batch."""


def walk(after: Cursor, now: Present, read: Callable[[Reading], Batch[T]], *, limit: int, using: str) -> Stretch[T]:
    """Read on from a cursor, up to `limit` changes, and past gaps in the ids. Raises `CursorExpired`."""
    for _ in range(GAPS):
        reading = plan(after, now)
        if reading is None:
            return Stretch(cursor=after, more=False)
        if reading.holds_nothing:
            return Stretch(cursor=reading.next(reading.window.top)[0], more=False)
        batch = read(reading)
        check_again(reading, batch.dropped, now, using)
        is_full = batch.cut or batch.count == limit
        reached = batch.last if is_full else end_of(reading, now, empty=not batch.count, using=using)
        after, more = reading.next(reached)
        if not (more and reading.is_gap_before(after)):
            break
    return Stretch(cursor=after, more=more or after.tick < now.tick, batch=batch, reading=reading)


def plan(after: Cursor, now: Present) -> Reading | None:
    """Return what to read next; None where this server lags behind the cursor. Raises `CursorExpired`."""
    expiry.check(after, now)
    if expiry.is_ahead(after, now):
        return None
    window = after.window
    if window is None:
        window = Window(seq=now.seq, floor=now.floor, snapshot=now.snapshot, last=0, top=now.top)
        after = dataclasses.replace(after, history=now.history, tick=now.tick)
    low = max(window.last, after.seq)
    return Reading(after=after, window=window, high=min(window.top, low + SCAN), restored=now.restored)


def check_again(reading: Reading, dropped: int, now: Present, using: str) -> None:
    """Raise `CursorExpired` where a partition went since the present was read, and a change may be missing."""
    if dropped != now.dropped:
        expiry.check(reading.after, Present.read(using))


def end_of(reading: Reading, now: Present, *, empty: bool, using: str) -> int:
    """Return the id that a page with room left has reached: after an empty one, beyond any gap that follows."""
    if not empty or reading.high >= reading.window.top:
        return reading.high
    query = sql.compose("queries/feed/next_id", last=reading.high, top=reading.window.top)
    ((following, dropped),) = sql.run(using, query)
    check_again(reading, dropped, now, using)
    return reading.window.top if following is None else following - 1
