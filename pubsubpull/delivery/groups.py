"""Who of a worker's subscriptions read the log together: those that have read up to the same cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pubsubpull.delivery.lease import Held
    from pubsubpull.log.cursor import Cursor
    from pubsubpull.log.feed import Present, Rows
    from pubsubpull.wire.items import Row


class Group:
    """Subscriptions that have read the log up to the same cursor."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.members: set[Held] = set()
        self.by_model: dict[str, set[Held]] = {}

    def add(self, held: Held) -> None:
        """Let a subscription join."""
        self.members.add(held)
        held.group = self
        for model in held.models:
            self.by_model.setdefault(model, set()).add(held)

    def remove(self, held: Held) -> None:
        """Let a subscription go, with the cursor that it has read up to."""
        self.members.remove(held)
        held.group = None
        for model in held.models:
            self.by_model[model].remove(held)
            if not self.by_model[model]:
                del self.by_model[model]

    def hand_out(self, read: Rows) -> list[Held]:
        """Give each member its part of what was read; return those that got any."""
        parts: dict[Held, list[Row]] = {}
        for row in read.rows:
            for held in self.by_model.get(row.model, ()):
                if row.op in held.ops:
                    parts.setdefault(held, []).append(row)
        for held, rows in parts.items():
            held.pending.add(read, rows)
        return list(parts)


class Groups:
    """All groups, by cursor; the one that was read longest ago comes first."""

    def __init__(self) -> None:
        self._groups: dict[Cursor, Group] = {}

    def join(self, held: Held, cursor: Cursor) -> None:
        """Let a subscription read on from the cursor, with those that are there already."""
        if cursor not in self._groups:
            self._groups[cursor] = Group(cursor)
        self._groups[cursor].add(held)

    def leave(self, held: Held) -> None:
        """Let a subscription read no further for now."""
        if held.group is None:
            return
        group = held.group
        held.read = group.cursor
        group.remove(held)
        if not group.members and self._groups.get(group.cursor) is group:
            del self._groups[group.cursor]

    def due(self, now: Present) -> list[Group]:
        """Return the groups that have something to read for now: the foremost, then the others, longest unread first.

        Who reads only some of them before the next look so keeps nobody waiting for those that lag.
        """
        behind = [group for group in self._groups.values() if _has_more(group.cursor, now)]
        if not behind:
            return []
        front = max(behind, key=lambda group: _place(group.cursor))
        return [front, *[group for group in behind if group is not front]]

    def begin(self, group: Group) -> bool:
        """Take a group aside for a read: who joins its cursor meanwhile is not served by it. False where it is gone."""
        if self._groups.get(group.cursor) is not group:
            return False
        del self._groups[group.cursor]
        return True

    def put_back(self, group: Group, cursor: Cursor) -> None:
        """Put a group back, at the cursor that it has read up to; groups that meet become one."""
        group.cursor = cursor
        there = self._groups.pop(cursor, None)
        if there is not None and len(there.members) > len(group.members):
            group, there = there, group
        for held in list(there.members) if there is not None else ():
            there.remove(held)  # type: ignore[union-attr]
            group.add(held)
        if group.members:
            self._groups[cursor] = group

    def any_behind(self) -> bool:
        """Whether some have more to read right away."""
        return any(group.cursor.window is not None for group in self._groups.values())


def _has_more(cursor: Cursor, now: Present) -> bool:
    return cursor.window is not None or cursor.snapshot != now.snapshot or cursor.seq != now.seq


def _place(cursor: Cursor) -> int:
    return cursor.window.last if cursor.window else cursor.seq
