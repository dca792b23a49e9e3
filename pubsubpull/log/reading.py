"""One query of the feed: its bounds between a cursor and the present, its text, and the cursor after it."""

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
"""The most ids that are searched for stragglers without a time limit. Only a made-up cursor has more."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """The bounds of one query within a window."""

    after: Cursor
    """The cursor that the query starts from. Its tick is already that of the window's end."""
    window: Window
    """The rest of the read between the two snapshots."""
    high: int
    """The last id that the query looks at."""
    restored: int
    """The last id whose transaction belongs to another cluster."""

    @property
    def holds_nothing(self) -> bool:
        """True if there can be no change: no id was taken since, and no straggler can have become visible."""
        after, window = self.after, self.window
        settled = after.floor >= after.seq or after.snapshot == window.snapshot
        return after.window is None and window.top <= after.seq and settled

    @property
    def low(self) -> int:
        """The id that the tail of the log is above."""
        return max(self.window.last, self.after.seq)

    @property
    def late(self) -> int:
        """The number of ids to search for stragglers: seldom more than a few, unless the cursor was made up."""
        return self.after.seq - max(self.window.last, self.after.floor)

    def is_gap_before(self, cursor: Cursor) -> bool:
        """True if `cursor`, which follows this reading, has skipped a gap in the ids."""
        return cursor.window is not None and cursor.window.last > self.high

    def next(self, reached: int) -> tuple[Cursor, bool]:
        """Return the cursor after this reading of all ids up to `reached`, and True if the window holds more."""
        # At its end the window goes: what the next page has to see begins at the window's snapshot.
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
        """Return the transactions, as text, that ran at the cursor's snapshot and had ended at the window's."""
        return [str(xid) for xid in sorted(set(self.after.snapshot.running) - set(self.window.snapshot.running))]

    def values(self) -> dict[str, Any]:
        """Return the values of a query's placeholders by name. Numbers of transactions are text, which SQL casts."""
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
    """The choice of a page's changes."""

    models: Collection[str] | None
    """The labels of the models; None for all."""
    limit: int
    """The most changes."""
    size: int
    """The most bytes, about."""
    using: str
    """The database."""
    old: bool = True
    """False if updates come without the row before."""

    def read(self, shape: Shape[T], reading: Reading) -> Batch[T]:
        """Run one query; return its batch in the given shape."""
        # The sum of sizes costs a fifth of the query's time: without large values in the log it is left out.
        bound = self.size if sizes.may_be_large(self.using, limit=self.limit) else None
        rows = sql.run(
            self.using,
            self._query(shape, reading, bounded=bound is not None),
            {**reading.values(), "limit": self.limit, "size": bound, "models": list(self.models or ())},
            as_bytes=shape.as_bytes,
            # A made-up cursor may name any floor, and so have the whole log searched: its query is limited in time.
            within=shape.for_callers and reading.late > STRAGGLERS,
        )
        return shape.read(rows)

    def _query(self, shape: Shape[T], reading: Reading, *, bounded: bool) -> psql.SQL:
        # Each part is a scan of its own: most readings have no stragglers, and their query is the tail alone.
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
    """Return the text of a query, with placeholders for its values."""
    # Cached: to compose the text takes as long as to read a page of few changes.
    only = psql.SQL(wanted)
    window: psql.Composable = sql.template("queries/feed/tail").format(wanted=only)
    if stragglers:
        each = [sql.template(part).format(wanted=only) for part in stragglers]
        union = psql.SQL(" UNION ALL ").join([psql.SQL("({})").format(part) for part in [*each, window]])
        window = sql.template("queries/feed/window").format(parts=union)
    if bounded:
        window = sql.template("queries/feed/bounded").format(window=window)
    cut = psql.SQL("cut" if bounded else "false")
    # Rows that were written before a column was hidden still have it: it is taken out as they are read.
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
    """Return a composed part as text of a query that gets parameters."""
    # A column's name may have a percent sign, which psycopg would take for a placeholder.
    return psql.SQL(part.as_string().replace("%", "%%"))
