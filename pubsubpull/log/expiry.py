"""Whether the log can still say what comes after a cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pubsubpull import exceptions

if TYPE_CHECKING:
    from pubsubpull.log.cursor import Cursor
    from pubsubpull.log.present import Present

EXPIRED = (
    "Read all instances of the models you follow again, and go on from the cursor that comes with them; "
    "or start with after=now and do without what lies between."
)


def check(cursor: Cursor, now: Present) -> None:
    """Raise `CursorExpired` where the log at hand cannot say what comes after the cursor."""
    last = now.last_tick(cursor.history)
    if last is None and now.standby and cursor.tick > now.tick:
        return  # its history may have begun on the primary, and not have come here yet
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
    """True if the cursor has seen what this server, a standby, has not.

    The snapshots are compared, too: of two ticks made at once the one with the lower number may have seen more.
    """
    return now.standby and (cursor.tick > now.tick or not now.snapshot.covers((cursor.window or cursor).snapshot))


def lacks(cursor: Cursor, dropped: int, dropped_xid: int) -> bool:
    """True if a reader at the cursor may have missed a change of those up to the id `dropped`, which are gone.

    `dropped_xid` is the newest transaction that wrote one of them: a transaction that ran when the cursor was taken
    may have written below ids that the cursor has seen.
    """
    last = cursor.window.last if cursor.window else 0
    if max(cursor.floor, last) >= dropped:
        return False
    return max(cursor.seq, last) < dropped or cursor.snapshot.xmin <= dropped_xid
