"""Whether the log still has all changes after a cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pubsubpull import exceptions

if TYPE_CHECKING:
    from pubsubpull.log.cursor import Cursor
    from pubsubpull.log.present import Present

EXPIRED = (
    "Read all instances of the models you follow again, and go on from the cursor that comes with them; "
    "or start with after=now, without the changes in between."
)


def check(cursor: Cursor, now: Present) -> None:
    """Raise `CursorExpired` if changes after the cursor may be missing from the log: deleted, restored or reverted."""
    last = now.last_tick(cursor.history)
    # The history may have begun on the primary, and not have reached this standby yet.
    if last is None and now.standby and cursor.tick > now.tick:
        return
    if last is None:
        raise exceptions.CursorExpired(
            f"This cursor is of another history of the log: the database was restored or replaced. {EXPIRED}"
        )
    if cursor.tick > last:
        raise exceptions.CursorExpired(
            f"This cursor has seen more than this log holds: the database went back to an earlier state. {EXPIRED}"
        )
    if lacks(cursor, now.dropped, now.dropped_xid):
        raise exceptions.CursorExpired(f"This cursor is older than the changes that the log keeps. {EXPIRED}")


def is_ahead(cursor: Cursor, now: Present) -> bool:
    """True if this server is a standby that lags behind the cursor."""
    # The ticks do not suffice: of two ticks made at once, that with the lower number may have seen more.
    return now.standby and (cursor.tick > now.tick or not now.snapshot.covers((cursor.window or cursor).snapshot))


def lacks(cursor: Cursor, dropped: int, dropped_xid: int) -> bool:
    """True if a reader at the cursor may have missed deleted changes, which are all up to the id `dropped`.

    `dropped_xid` is the newest transaction among those that wrote the deleted changes.
    """
    last = cursor.window.last if cursor.window else 0
    # Every transaction at or below the floor had ended: the reader has seen all of the deleted changes.
    if max(cursor.floor, last) >= dropped:
        return False
    # A transaction that ran when the cursor was taken may have written below ids that the cursor has seen.
    return max(cursor.seq, last) < dropped or cursor.snapshot.xmin <= dropped_xid
