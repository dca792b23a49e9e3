"""Groups of leases that have read the log up to the same cursor, and so read on together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pubsubpull.delivery.lease import Lease
    from pubsubpull.log.cursor import Cursor
    from pubsubpull.log.feed import Rows
    from pubsubpull.log.present import Present
    from pubsubpull.wire.items import Row


class Group:
    """The leases at one cursor."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.members: set[Lease] = set()
        self.by_model: dict[str, set[Lease]] = {}

    def add(self, lease: Lease) -> None:
        """Add a lease."""
        self.members.add(lease)
        for model in lease.terms.models:
            self.by_model.setdefault(model, set()).add(lease)

    def remove(self, lease: Lease) -> None:
        """Remove a lease."""
        self.members.remove(lease)
        for model in lease.terms.models:
            self.by_model[model].remove(lease)
            if not self.by_model[model]:
                del self.by_model[model]

    def hand_out(self, read: Rows) -> list[Lease]:
        """Give each member its part of the rows that were read; return the members with a part."""
        parts: dict[Lease, list[Row]] = {}
        for row in read.rows:
            for lease in self.by_model.get(row.model, ()):
                if row.op in lease.terms.letters:
                    parts.setdefault(lease, []).append(row)
        for lease, rows in parts.items():
            lease.pending.add(read, rows)
        return list(parts)


class Groups:
    """All groups by cursor, in the order in which they were last read.

    A lease is in one group, or paused at the cursor from which it will read on.
    """

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        """Set when the reader has something to do at once."""
        self._groups: dict[Cursor, Group] = {}
        self._of: dict[Lease, Group] = {}
        self._paused: dict[Lease, Cursor] = {}

    def of(self, lease: Lease) -> Group | None:
        """Return the group of a lease; None while the lease is paused."""
        return self._of.get(lease)

    def join(self, lease: Lease, cursor: Cursor) -> None:
        """Let a lease read on from a cursor, together with the leases already at it."""
        self._paused.pop(lease, None)
        if cursor not in self._groups:
            self._groups[cursor] = Group(cursor)
        self._add(self._groups[cursor], lease)
        self.wake.set()

    def pause(self, lease: Lease, cursor: Cursor) -> None:
        """Pause a lease; it will read on from this cursor."""
        self.leave(lease)
        self._paused[lease] = cursor

    def resume(self, lease: Lease) -> None:
        """Let a paused lease read on if it has room and its backfill is over."""
        cursor = self._paused.get(lease)
        if cursor is not None and not lease.checkpoint.backfill and lease.pending.has_room:
            self.join(lease, cursor)

    def leave(self, lease: Lease) -> None:
        """Pause a lease; it will read on from its group's cursor."""
        group = self._of.pop(lease, None)
        if group is None:
            return
        self._paused[lease] = group.cursor
        group.remove(lease)
        # A group that is being read is not in the table, and another may be at its cursor.
        if not group.members and self._groups.get(group.cursor) is group:
            del self._groups[group.cursor]

    def forget(self, lease: Lease) -> None:
        """Remove a lease for good."""
        self.leave(lease)
        self._paused.pop(lease, None)

    def due(self, now: Present) -> list[Group]:
        """Return the groups with something to read: the foremost first, then the longest unread.

        A reader may take only the first few of them before the next poll. Lagging groups then keep no other waiting.
        """
        behind = [group for group in self._groups.values() if _has_more(group.cursor, now)]
        if not behind:
            return []
        front = max(behind, key=lambda group: _reached(group.cursor))
        return [front, *[group for group in behind if group is not front]]

    def begin(self, group: Group) -> bool:
        """Take a group out of the table for a read; return False if it is gone."""
        # By identity: another group may have come to this cursor.
        if self._groups.get(group.cursor) is not group:
            return False
        # A lease that joins this cursor during the read gets a group of its own: the read does not serve it.
        del self._groups[group.cursor]
        return True

    def put_back(self, group: Group, cursor: Cursor) -> None:
        """Put a group back at the cursor that it has reached; groups that meet become one."""
        group.cursor = cursor
        other = self._groups.pop(cursor, None)
        # The smaller group moves into the larger: that costs less.
        if other is not None and len(other.members) > len(group.members):
            group, other = other, group
        for lease in list(other.members) if other is not None else ():
            other.remove(lease)  # type: ignore[union-attr]
            self._add(group, lease)
        if group.members:
            self._groups[cursor] = group

    def any_behind(self) -> bool:
        """True if a group has more to read at once."""
        return any(group.cursor.window is not None for group in self._groups.values())

    def all(self) -> Iterator[Group]:
        """Yield each group that is not being read."""
        yield from self._groups.values()

    def _add(self, group: Group, lease: Lease) -> None:
        group.add(lease)
        self._of[lease] = group


def _has_more(cursor: Cursor, now: Present) -> bool:
    return cursor.window is not None or cursor.snapshot != now.snapshot or cursor.seq != now.seq


def _reached(cursor: Cursor) -> int:
    return cursor.window.last if cursor.window else cursor.seq
