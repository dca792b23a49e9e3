"""Receivers that send delivery back: how often they did, and which changes of a page they have had before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pubsubpull.wire import items

if TYPE_CHECKING:
    from pubsubpull.delivery.notification import Notification
    from pubsubpull.log.cursor import Cursor, Snapshot
    from pubsubpull.wire.items import Row

REMEMBERED = 1000
"""How many cursors that a receiver has named are remembered; then all are forgotten."""
ERROR = (
    "The receiver answers 409 again and again: with a cursor that delivery went on from before, or before it has come "
    "to where it was. Does it store the cursor of each page that it takes?"
)


class Rewinds:
    """The cursors that one receiver has sent delivery back to, while its subscription is leased."""

    def __init__(self) -> None:
        self.repeats = 0
        """How often in a row it was sent back to where it had been sent before."""
        self._named: set[int] = set()
        """The hashes of the cursors that it has named."""
        self._furthest: Cursor | None = None
        """Where it was before it was sent back, until it has come so far again."""

    def note(self, cursor: Cursor, *, at: Cursor) -> bool:
        """Note that the receiver has named this cursor; return True if it keeps sending delivery back.

        It does if it has named the cursor before, whatever came between, or if it has not yet had again all that it
        had before it named the last one. A receiver that is ahead of `at` goes forward: its answers were lost.
        """
        if _is_ahead(cursor, at):
            return False
        again = hash(cursor) in self._named or self._furthest is not None
        self.repeats = self.repeats + 1 if again else 0
        if len(self._named) >= REMEMBERED:
            self._named.clear()
        self._named.add(hash(cursor))
        self._furthest = self._furthest or at
        return again

    def count_new(self, page: Notification) -> int:
        """Return how many changes of a page that was taken the receiver had not had before it sent delivery back."""
        furthest = self._furthest
        if furthest is None:
            return page.count
        if page.cursor.window is None or page.cursor.window.last >= _reached(furthest):
            self._furthest = None
        return page.count - sum(is_seen(row, furthest) for row in page.rows)


def is_seen(row: Row, cursor: Cursor) -> bool:
    """True if a change was among those before the cursor."""
    if row.op == "S":
        return False
    if row.version <= cursor.floor:
        return True
    xid = items.transaction(row.item)
    window = cursor.window
    if window is not None and row.version <= window.last and _had_ended(window.snapshot, xid):
        return True
    return _had_ended(cursor.snapshot, xid)


def _is_ahead(cursor: Cursor, other: Cursor) -> bool:
    """True if one cursor has seen all that the other has, and more."""
    seen, before = cursor.window or cursor, other.window or other
    return cursor != other and seen.snapshot.covers(before.snapshot) and _reached(cursor) >= _reached(other)


def _had_ended(snapshot: Snapshot, xid: int) -> bool:
    return xid < snapshot.xmax and xid not in snapshot.running


def _reached(cursor: Cursor) -> int:
    return cursor.window.last if cursor.window else cursor.seq
