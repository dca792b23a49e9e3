"""The present of the log: its newest tick, and what goes with it."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

from pubsubpull.capture import sql
from pubsubpull.log.cursor import LARGEST, NOTHING, Cursor, Snapshot, Window

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Present:
    """The log at one tick, of one history. Its fields are the columns that `pubsubpull_present()` gives, by name."""

    history: int
    tick: int
    seq: int
    """An id that the sequence had reached before the snapshot."""
    snapshot: Snapshot
    top: int
    """An id that no transaction of the snapshot goes beyond."""
    restored: int
    """The last id whose transaction belongs to another cluster."""
    settled: int
    """The latest id that the log itself has noted as one at or below which every transaction had ended."""
    floor: int
    """An id at or below which every transaction had ended at the snapshot."""
    dropped: int
    """The id up to which the log is gone."""
    dropped_xid: int
    """The newest transaction that wrote a change which is gone."""
    standby: bool
    """True where the newest tick at hand is served: on a standby, and in a transaction that cannot make a tick."""
    reached: int
    """An id that the sequence has reached now."""
    past: dict[int, int] = dataclasses.field(repr=False)
    """The histories that have ended, each with its last tick."""

    @classmethod
    def read(cls, using: str) -> Present:
        """Read the present of the log of a database: its newest tick, or a new one where something has come since."""
        (row,) = sql.run_named(using, sql.template("queries/feed/present"))
        return cls.of(row)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Present:
        """Return the present that a query has read, perhaps among other columns, as text or as bytes."""
        columns = {name: row[name] for name in _COLUMNS}
        snapshot, past = _text(columns.pop("snapshot")), _text(columns.pop("past"))
        return cls(**columns, snapshot=Snapshot.parse(snapshot), past=_past(past))

    def last_tick(self, history: int) -> int | None:
        """Return the last tick of a history which this log still holds; None where it knows no such history."""
        if history == self.history:
            return LARGEST if self.standby else self.tick
        return self.past.get(history)

    def cursor(self) -> Cursor:
        """Return the cursor of a reader that has seen everything up to now."""
        return Cursor(history=self.history, tick=self.tick, seq=self.seq, floor=self.floor, snapshot=self.snapshot)

    def start(self) -> Cursor:
        """Return the cursor of a reader that has seen nothing, at the beginning of what the log keeps."""
        return Cursor(history=self.history, tick=0, seq=self.dropped, floor=self.dropped, snapshot=NOTHING)

    def after(self, version: int) -> Cursor:
        """Return the cursor of a reader that has seen the changes up to a version, and nothing beyond it."""
        last = max(version, self.dropped)
        if last >= self.top:
            return self.cursor()
        window = Window(seq=self.seq, floor=self.floor, snapshot=self.snapshot, last=last, top=self.top)
        return dataclasses.replace(self.start(), tick=self.tick, window=window)


_COLUMNS = tuple(field.name for field in dataclasses.fields(Present))


def _text(value: str | bytes | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


@functools.lru_cache(maxsize=16)
def _past(text: str) -> dict[int, int]:
    """Read the histories that have ended, `token:tick,token:tick`."""
    pairs = [pair.split(":") for pair in text.split(",")] if text else []
    return {int(token): int(tick) for token, tick in pairs}
