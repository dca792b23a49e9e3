"""One query's worth of the feed: what to read between a cursor and the present, and where that has led."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

from psycopg import sql as psql

from pubsubpull.capture import hiding, sql
from pubsubpull.log.cursor import Cursor, Window

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """One query's worth of a window: from the cursor `since` to `window`, ids up to `high`.

    `since` names the tick of the window's end already.
    """

    since: Cursor
    window: Window
    high: int
    restored: int

    @property
    def holds_nothing(self) -> bool:
        """Say that there is no change to look for: no id was taken since, and none below it may have come to light."""
        since, upto = self.since, self.window
        settled = since.floor >= since.seq or since.snapshot == upto.snapshot
        return since.window is None and upto.top <= since.seq and settled

    @property
    def late(self) -> int:
        """How many ids it has to look at for stragglers: of a cursor that was not made up, seldom more than a few."""
        return self.since.seq - max(self.window.last, self.since.floor)

    def is_gap_before(self, cursor: Cursor) -> bool:
        """Say whether the cursor after this reading has skipped ids that are not there."""
        return cursor.window is not None and cursor.window.last > self.high

    def next(self, reached: int) -> tuple[Cursor, bool]:
        """Return the cursor after this reading, which looked at all ids up to `reached`, and whether there is more."""
        if reached >= self.window.top:
            return Cursor(
                history=self.since.history,
                tick=self.since.tick,
                seq=self.window.seq,
                floor=self.window.floor,
                snapshot=self.window.snapshot,
            ), False
        return dataclasses.replace(self.since, window=dataclasses.replace(self.window, last=reached)), True

    def read(
        self,
        name: str,
        *,
        limit: int,
        size: int | None,
        models: Collection[str] | None,
        using: str,
        old: bool = True,
        as_bytes: bool = False,
        within: bool = False,
    ) -> list[tuple[Any, ...]]:
        """Run the query of this name for the changes of `models`, at most `limit` and about `size` bytes of them.

        Without `old`, updates come without the row before. `within` bounds the time, as `sql.run` says.
        """
        since, upto = self.since, self.window
        ended = sorted(set(since.snapshot.running) - set(upto.snapshot.running))
        stragglers = max(upto.last, since.floor) < since.seq  # above since.seq there are none to look for
        text = _text(
            name,
            parts=("queries/feed/ended",) * (stragglers and bool(ended)) + ("queries/feed/begun",) * stragglers,
            bounded=size is not None,
            wanted="true" if models is None else "model = ANY(%(models)s)",
            old="old" if old else "CASE WHEN op <> 'U' THEN old END",
            hidden=hiding.hidden(models),
        )
        given = {
            "limit": limit,
            "size": size,
            "models": None if models is None else list(models),
            "low": max(upto.last, since.seq),
            "high": self.high,
            "restored": self.restored,
            "since": str(since.snapshot),
            "upto": str(upto.snapshot),
            "ended": [str(xid) for xid in ended],
            "first": str(since.snapshot.xmax),
            "beyond": str(upto.snapshot.xmax),
            "floor": since.floor,
            "seq": since.seq,
            "last": upto.last,
        }
        return sql.run(using, text, given, as_bytes=as_bytes, within=within)


@functools.cache
def _text(
    name: str, *, parts: tuple[str, ...], bounded: bool, wanted: str, old: str, hidden: tuple[hiding.Hidden, ...]
) -> psql.SQL:
    """Return a query without its values, put together once: that takes as long as to read a page of few changes."""
    only = psql.SQL(wanted)
    window: psql.Composable = sql.template("queries/feed/tail").format(wanted=only)
    if parts:
        each = [sql.template(part).format(wanted=only) for part in parts]
        union = psql.SQL(" UNION ALL ").join([psql.SQL("({})").format(part) for part in [*each, window]])
        window = sql.template("queries/feed/window").format(parts=union)
    if bounded:
        window = sql.template("queries/feed/bounded").format(window=window)
    cut = psql.SQL("cut" if bounded else "false")
    if hidden:
        images = {name: _doubled(hiding.shown(name, hidden)) for name in ("old", "new")}
        window = sql.template("queries/feed/shown_window").format(window=window, cut=cut, **images)
        cut = psql.SQL("cut")
    item = sql.template("parts/item").format(old=psql.SQL(old))
    query = sql.template(name).format(item=item, window=window, cut=cut)
    return psql.SQL(sql.template("queries/feed/kept").format(query=query).as_string())


def _doubled(part: psql.Composable) -> psql.SQL:
    """Return a part of a query with names and values in it, for a query that is given parameters."""
    return psql.SQL(part.as_string().replace("%", "%%"))
