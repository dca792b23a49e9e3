"""One query's worth of the feed: what to read between a cursor and the present, and where that has led."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg import sql as psql

from pubsubpull.capture import hiding, sql, texts
from pubsubpull.log import sizes
from pubsubpull.log.cursor import Cursor, Window

if TYPE_CHECKING:
    from collections.abc import Collection

    from pubsubpull.log.shapes import Batch, Shape

T = TypeVar("T")

STRAGGLERS = 20_000
"""The ids that are looked at for stragglers without a limit of time. No cursor that was not made up has as many."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """One query's worth of a window."""

    after: Cursor
    """The cursor to go on from. It names the tick of the window's end already."""
    window: Window
    high: int
    """The last id that is looked at."""
    restored: int
    """The last id whose transaction belongs to another cluster."""

    @property
    def holds_nothing(self) -> bool:
        """True if no change is to be looked for: no id was taken since, and none below can have come to light."""
        after, window = self.after, self.window
        settled = after.floor >= after.seq or after.snapshot == window.snapshot
        return after.window is None and window.top <= after.seq and settled

    @property
    def low(self) -> int:
        """The id above which there is the tail of the log."""
        return max(self.window.last, self.after.seq)

    @property
    def late(self) -> int:
        """The number of ids to look at for stragglers: of a cursor that was not made up, seldom more than a few."""
        return self.after.seq - max(self.window.last, self.after.floor)

    def is_gap_before(self, cursor: Cursor) -> bool:
        """True if the cursor after this reading has skipped ids that are not there."""
        return cursor.window is not None and cursor.window.last > self.high

    def next(self, reached: int) -> tuple[Cursor, bool]:
        """Return the cursor after this reading, which looked at all ids up to `reached`, and whether there is more."""
        if reached >= self.window.top:
            return Cursor(
                history=self.after.history,
                tick=self.after.tick,
                seq=self.window.seq,
                floor=self.window.floor,
                snapshot=self.window.snapshot,
            ), False
        return dataclasses.replace(self.after, window=dataclasses.replace(self.window, last=reached)), True

    def ended(self) -> list[str]:
        """Return the transactions that ran when the cursor was taken and had ended at the end of the window."""
        return [str(xid) for xid in sorted(set(self.after.snapshot.running) - set(self.window.snapshot.running))]

    def values(self) -> dict[str, Any]:
        """Return the values of a query's placeholders."""
        return {
            "low": self.low,
            "high": self.high,
            "restored": self.restored,
            "seen": str(self.after.snapshot),
            "upto": str(self.window.snapshot),
            "ended": self.ended(),
            "first": str(self.after.snapshot.xmax),
            "beyond": str(self.window.snapshot.xmax),
            "floor": self.after.floor,
            "seq": self.after.seq,
            "last": self.window.last,
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """The changes that a page is to have."""

    models: Collection[str] | None
    """The labels of their models; None for all."""
    limit: int
    size: int
    """About how many bytes they have at most."""
    using: str
    old: bool = True
    """False where updates come without the row before."""

    def read(self, shape: Shape[T], reading: Reading) -> Batch[T]:
        """Run one query."""
        bound = self.size if sizes.may_be_large(self.using, limit=self.limit) else None
        rows = sql.run(
            self.using,
            self._query(shape, reading, bounded=bound is not None),
            {**reading.values(), "limit": self.limit, "size": bound, "models": list(self.models or ())},
            as_bytes=shape.as_bytes,
            within=shape.for_callers and reading.late > STRAGGLERS,
        )
        return shape.read(rows)

    def _query(self, shape: Shape[T], reading: Reading, *, bounded: bool) -> psql.SQL:
        ended = ("queries/feed/ended",) if reading.late > 0 and reading.ended() else ()
        begun = ("queries/feed/begun",) if reading.late > 0 else ()
        return _text(
            shape.query,
            stragglers=ended + begun,
            bounded=bounded,
            wanted="true" if self.models is None else "model = ANY(%(models)s)",
            old="old" if self.old else "CASE WHEN op <> 'U' THEN old END",
            hidden=hiding.hidden(self.models),
        )


@functools.cache
def _text(
    name: str, *, stragglers: tuple[str, ...], bounded: bool, wanted: str, old: str, hidden: tuple[hiding.Hidden, ...]
) -> psql.SQL:
    """Return a query without its values, put together once: that takes as long as to read a page of few changes."""
    only = psql.SQL(wanted)
    window: psql.Composable = sql.template("queries/feed/tail").format(wanted=only)
    if stragglers:
        each = [sql.template(part).format(wanted=only) for part in stragglers]
        union = psql.SQL(" UNION ALL ").join([psql.SQL("({})").format(part) for part in [*each, window]])
        window = sql.template("queries/feed/window").format(parts=union)
    if bounded:
        window = sql.template("queries/feed/bounded").format(window=window)
    cut = psql.SQL("cut" if bounded else "false")
    if hidden:
        images = {name: _doubled(hiding.shown(name, hidden)) for name in ("old", "new")}
        window = sql.template("queries/feed/shown_window").format(window=window, cut=cut, **images)
        cut = psql.SQL("cut")
    query = sql.template(name).format(
        item=texts.item(psql.SQL(old)),
        op=texts.op_in_compact(),
        letter=texts.op_letter(),
        window=window,
        cut=cut,
    )
    return psql.SQL(sql.template("queries/feed/kept").format(query=query).as_string())


def _doubled(part: psql.Composable) -> psql.SQL:
    """Return a part of a query with names and values in it, for a query that is given parameters."""
    return psql.SQL(part.as_string().replace("%", "%%"))
