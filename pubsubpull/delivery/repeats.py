"""Rewinds by the receiver (409): their repetition, and the changes that a receiver had before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pubsubpull.wire import items, ops

if TYPE_CHECKING:
    from pubsubpull.delivery.notification import Notification
    from pubsubpull.log.cursor import Cursor, Snapshot
    from pubsubpull.wire.items import Row

CURSORS_REMEMBERED = 1000
"""How many cursors of a receiver's answers are remembered; then all are forgotten."""
REPEATED_REWIND = (
    "The receiver answers 409 again and again, with a cursor that it named before, or before it has caught up with its "
    "last rewind. It must store the cursor of each page that it takes."
)
"""The error of a receiver that keeps rewinding."""


class Rewinds:
    """The rewinds of one receiver during one lease."""

    def __init__(self) -> None:
        self.repeats = 0
        """How many rewinds in a row were repetitions."""
        self._named: set[int] = set()
        """The hashes of the cursors that the receiver has named."""
        self._furthest: Cursor | None = None
        """The cursor before the first rewind, until delivery has reached it again."""

    def note(self, cursor: Cursor, *, at: Cursor) -> bool:
        """Note a rewind to a cursor; return True if the receiver repeats itself.

        A receiver repeats itself if it has named the cursor before, or if delivery has not yet caught up with the last
        rewind. A cursor ahead of `at` is no rewind: the receiver took pages, and its answers were lost.
        """
        if _is_ahead(cursor, at):
            return False
        # Hashes, not cursors: a cursor's snapshot may name thousands of transactions.
        again = hash(cursor) in self._named or self._furthest is not None
        self.repeats = self.repeats + 1 if again else 0
        # Bounded: a receiver that names new cursors for ever must not fill the memory.
        if len(self._named) >= CURSORS_REMEMBERED:
            self._named.clear()
        self._named.add(hash(cursor))
        self._furthest = self._furthest or at
        return again

    def count_new(self, page: Notification) -> int:
        """Return how many changes of a delivered page are new to the receiver: not delivered before a rewind."""
        furthest = self._furthest
        if furthest is None:
            return page.count
        if page.cursor.window is None or page.cursor.window.last >= _reached(furthest):
            self._furthest = None
        return page.count - sum(is_seen(row, furthest) for row in page.rows)


def is_seen(row: Row, cursor: Cursor) -> bool:
    """True if a change lies before the cursor."""
    if row.op == ops.SNAPSHOT.letter:
        return False
    if row.version <= cursor.floor:
        return True
    xid = items.transaction(row.item)
    window = cursor.window
    if window is not None and row.version <= window.last and _had_ended(window.snapshot, xid):
        return True
    return _had_ended(cursor.snapshot, xid)


def _is_ahead(cursor: Cursor, other: Cursor) -> bool:
    """True if all changes before `other` lie before `cursor`, too, and the two differ."""
    seen, before = cursor.window or cursor, other.window or other
    return cursor != other and seen.snapshot.covers(before.snapshot) and _reached(cursor) >= _reached(other)


def _had_ended(snapshot: Snapshot, xid: int) -> bool:
    return xid < snapshot.xmax and xid not in snapshot.running


def _reached(cursor: Cursor) -> int:
    return cursor.window.last if cursor.window else cursor.seq
