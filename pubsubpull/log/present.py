"""The present of the log: its newest tick, and the facts that are read with it."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

from pubsubpull.capture import sql
from pubsubpull.log.cursor import LARGEST_ID, NOTHING, Cursor, Snapshot, Window

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Present:
    """The log at one tick. The fields have the names of the columns of `pubsubpull_present()`."""

    history: int
    """The token of the log's history."""
    tick: int
    """The number of the tick."""
    seq: int
    """An id that the sequence had reached before the snapshot was taken."""
    snapshot: Snapshot
    """The transactions that had ended at the tick."""
    top: int
    """An id that no change of the snapshot's transactions is above."""
    restored: int
    """The last id whose transaction belongs to another cluster."""
    settled: int
    """The latest id that the log has recorded as settled: every transaction at or below it had ended."""
    floor: int
    """An id at or below which every transaction had ended at the snapshot."""
    dropped: int
    """The id up to which the changes were deleted."""
    dropped_xid: int
    """The newest transaction among those that wrote the deleted changes."""
    standby: bool
    """True if no new tick could be made: on a standby, and in a transaction that is read-only or keeps one snapshot."""
    reached: int
    """An id that the sequence has reached by now."""
    past: dict[int, int] = dataclasses.field(repr=False)
    """The last tick of each earlier history, by its token."""

    @classmethod
    def read(cls, using: str) -> Present:
        """Return the present of a database's log: its newest tick, or a new tick if changes came after that."""
        # One function reads all of it: the order of its reads (sequence, snapshot, sequence) is what makes it right.
        (row,) = sql.run_named(using, sql.template("queries/feed/present"))
        return cls.of(row)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Present:
        """Return the present of a query's row, which may have other columns too. Texts may be bytes."""
        columns = {name: row[name] for name in _COLUMNS}
        snapshot, past = _text(columns.pop("snapshot")), _text(columns.pop("past"))
        return cls(**columns, snapshot=Snapshot.parse(snapshot), past=_past(past))

    def last_tick(self, history: int) -> int | None:
        """Return the last tick that this log holds of a history; None for an unknown history."""
        if history == self.history:
            # The primary may have made ticks that have not reached this standby: its cursors are valid all the same.
            return LARGEST_ID if self.standby else self.tick
        return self.past.get(history)

    def cursor(self) -> Cursor:
        """Return the cursor of a reader that has seen all changes up to this tick."""
        return Cursor(history=self.history, tick=self.tick, seq=self.seq, floor=self.floor, snapshot=self.snapshot)

    def start(self) -> Cursor:
        """Return the cursor of a reader that has seen nothing, at the log's oldest change."""
        return Cursor(history=self.history, tick=0, seq=self.dropped, floor=self.dropped, snapshot=NOTHING)

    def after(self, version: int) -> Cursor:
        """Return the cursor of a reader that has seen the changes up to a version, and none above it."""
        last = max(version, self.dropped)
        if last >= self.top:
            return self.cursor()
        window = Window(seq=self.seq, floor=self.floor, snapshot=self.snapshot, last=last, top=self.top)
        return dataclasses.replace(self.start(), tick=self.tick, window=window)


_COLUMNS = tuple(field.name for field in dataclasses.fields(Present))


def _text(value: str | bytes | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


# The text changes with a start of the server only, and is read with every present.
@functools.lru_cache(maxsize=16)
def _past(text: str) -> dict[int, int]:
    """Return the last tick of each earlier history, from the text `token:tick,token:tick`."""
    pairs = [pair.split(":") for pair in text.split(",")] if text else []
    return {int(token): int(tick) for token, tick in pairs}
