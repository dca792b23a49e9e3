"""Receivers that send delivery back: how often they did, and which changes of a page they have had before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pubsubpull.wire import items

if TYPE_CHECKING:
    from pubsubpull.delivery.lease import Held
    from pubsubpull.delivery.notification import Notification
    from pubsubpull.log.cursor import Cursor, Snapshot
    from pubsubpull.wire.items import Row

REMEMBERED = 1000
"""How many cursors that a receiver has named are remembered; then all are forgotten."""
ERROR = (
    "The receiver answers 409 again and again: with a cursor that delivery went on from before, or before it has come "
    "to where it was. Does it store the cursor of each page that it takes?"
)


def note_rewind(held: Held, cursor: Cursor) -> bool:
    """Note that the receiver has named this cursor; say whether it keeps sending delivery back.

    It does where it has named the cursor before, whatever came between, and where it has not yet had again all that it
    had before it named the last one. A receiver that has more than was known goes forward: its answers were lost.
    """
    if _is_ahead(cursor, held.cursor):
        return False
    again = hash(cursor) in held.rewound or held.furthest is not None
    held.repeats = held.repeats + 1 if again else 0
    if len(held.rewound) >= REMEMBERED:
        held.rewound.clear()
    held.rewound.add(hash(cursor))
    held.furthest = held.furthest or held.cursor
    return again


def count_new(held: Held, page: Notification) -> int:
    """Return how many changes of a page that was taken the receiver had not taken before it sent delivery back."""
    furthest = held.furthest
    if furthest is None:
        return page.count
    if page.cursor.window is None or page.cursor.window.last >= _reached(furthest):
        held.furthest = None
    return page.count - sum(is_seen(row, furthest) for row in page.rows)


def is_seen(row: Row, cursor: Cursor) -> bool:
    """Say whether a change was among those before the cursor."""
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
    """Say whether one cursor has seen all that the other has, and more."""
    seen, before = cursor.window or cursor, other.window or other
    return cursor != other and seen.snapshot.covers(before.snapshot) and _reached(cursor) >= _reached(other)


def _had_ended(snapshot: Snapshot, xid: int) -> bool:
    return xid < snapshot.xmax and xid not in snapshot.running


def _reached(cursor: Cursor) -> int:
    return cursor.window.last if cursor.window else cursor.seq
