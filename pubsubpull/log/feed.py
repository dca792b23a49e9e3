"""The feed: pages of changes after a cursor, complete and in order, while others write."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

from pubsubpull import exceptions
from pubsubpull.capture import hiding, sql
from pubsubpull.log import sizes
from pubsubpull.log.cursor import LARGEST, NOTHING, Cursor, Snapshot, Window
from pubsubpull.log.reading import Reading
from pubsubpull.wire import pages as wire
from pubsubpull.wire.items import Row

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

SCAN = 20_000
"""How many ids a page looks at, at most; a page for a quiet model may so be empty and still say `more`."""

GAPS = 50
"""How many gaps in the ids, each wider than that, a page goes beyond, at most."""

FEW = 100
"""Up to so many ids are read together with the present; they may be read again and again, while others write."""

EXPIRED = (
    "Read all instances of the models you follow again, and go on from the cursor that comes with them; "
    "or start with after=now and do without what lies between."
)


Found = tuple[int | None, int, int, bool, bytes]
"""What is read for a page: up to which id the log was gone, how many changes, the last one's id, if cut, the items."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Present:
    """The log at one tick, of one history. `top` is an id that no transaction of the snapshot goes beyond.

    At or below `floor` every transaction had ended; `settled` is the latest such id that the log itself has noted. A
    `standby` serves the newest tick that it has: the server is one, or the transaction writes nothing or keeps to one
    snapshot. `reached` is an id that the sequence has reached now; `past` are the histories that have ended, each with
    its last tick.
    """

    history: int
    tick: int
    seq: int
    snapshot: Snapshot
    top: int
    restored: int
    settled: int
    floor: int
    dropped: int
    dropped_xid: int
    standby: bool
    reached: int
    past: dict[int, int] = dataclasses.field(repr=False)

    def last_tick(self, history: int) -> int | None:
        """Return the last tick of a history which this log still holds; None where it knows no such history."""
        if history == self.history:
            return LARGEST if self.standby else self.tick
        return self.past.get(history)

    def cursor(self) -> Cursor:
        """Return the cursor of one who has seen everything up to now."""
        return Cursor(history=self.history, tick=self.tick, seq=self.seq, floor=self.floor, snapshot=self.snapshot)

    def start(self) -> Cursor:
        """Return the cursor of one who has seen nothing, at the beginning of what the log keeps."""
        return Cursor(history=self.history, tick=0, seq=self.dropped, floor=self.dropped, snapshot=NOTHING)

    def after(self, version: int) -> Cursor:
        """Return the cursor of one who has seen what there is now up to a version, and nothing beyond it."""
        last = max(version, self.dropped)
        if last >= self.top:
            return self.cursor()
        window = Window(seq=self.seq, floor=self.floor, snapshot=self.snapshot, last=last, top=self.top)
        return dataclasses.replace(self.start(), tick=self.tick, window=window)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """Some changes as JSON text in UTF-8, items with commas between, and the cursor after them.

    `more` says that the log had further changes, for this reader or others, when the page was read: also such as have
    been committed since the window of this page began. Of a compact page
    `items` are the models', each in a line of its own: its columns, and its changes with the values of these.
    """

    items: bytes
    count: int
    cursor: Cursor
    more: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows:
    """As `Page`, but change by change."""

    rows: tuple[Row, ...]
    cursor: Cursor
    more: bool
    reading: Reading | None = dataclasses.field(default=None, repr=False)

    def cursor_after(self, version: int) -> Cursor:
        """Return the cursor of one who has seen these changes up to the one of this version."""
        if self.reading is None or not self.rows or version >= self.rows[-1].version:
            return self.cursor
        return self.reading.next(version)[0]


def present(using: str = "default") -> Present:
    """Read where the log is now: at its newest tick, or at a new one where something has come since.

    In a transaction of the caller's that tick, and the cursors of it, count once that has been committed.
    """
    (row,) = sql.run(using, sql.template("queries/feed/present"))
    return as_present(*row)


def look(
    after: Cursor | None,
    *,
    limit: int,
    models: Collection[str],
    using: str = "default",
    old: bool = True,
    compact: bool = False,
) -> tuple[Present, Found | None]:
    """Read where the log is now and, where that takes no second round trip, what `page` would find after the cursor.

    That is what came after a settled cursor, if it is little: a few changes, of which none is large.
    """
    if compact or after is None or not after.settled:
        return present(using), None
    few = min(limit, FEW)
    excluded, stars = hiding.columns(models)
    hidden = {"excluded": excluded, "stars": stars}
    given = {**hidden, "models": list(models), "low": after.seq, "since": str(after.snapshot), "few": few, "old": old}
    (row,) = sql.run(using, sql.template("queries/feed/look"), given, as_bytes=True)
    *columns, dropped, count, last, items = row
    now = as_present(*columns)
    if count is None or lacks(after, now.dropped, now.dropped_xid):
        return now, None
    return now, (dropped, count, last, False, items)


def as_present(  # noqa: PLR0917  the columns, in their order
    history: int,
    tick: int,
    seq: int,
    snapshot: str | bytes,
    top: int,
    restored: int,
    settled: int,
    floor: int,
    dropped: int,
    dropped_xid: int,
    standby: bool,
    reached: int,
    past: str | bytes | None,
) -> Present:
    """Return what the columns of `pubsubpull_present()` say, for a query that reads more in the same round trip."""
    return Present(
        history=history,
        tick=tick,
        seq=seq,
        snapshot=Snapshot.parse(_text(snapshot)),
        top=top,
        restored=restored,
        settled=settled,
        floor=floor,
        dropped=dropped,
        dropped_xid=dropped_xid,
        standby=standby,
        reached=reached,
        past=_past(_text(past)) if past else {},
    )


def _text(given: str | bytes) -> str:
    return given.decode() if isinstance(given, bytes) else given


@functools.lru_cache(maxsize=16)
def _past(text: str) -> dict[int, int]:
    """Read the histories that have ended, `token:tick,token:tick`."""
    return {int(token): int(tick) for token, tick in (one.split(":") for one in text.split(","))}


def page(
    after: Cursor | None,
    *,
    limit: int,
    models: Collection[str] | None = None,
    using: str = "default",
    now: Present | None = None,
    size: int = sizes.PAGE,
    old: bool = True,
    compact: bool = False,
    found: Found | None = None,
) -> Page:
    """Return at most `limit` changes of `models` (all, if None) after the cursor (from the log's start, if None).

    They come to about `size` bytes at most, but for a single change that is larger. Without `old`, updates come without
    the row before; in a `compact` page, all but deletes do, and without the names of the columns. `now` is the present,
    where the caller has just read it, and `found` what `look` found with it. Raises `CursorExpired`.
    """
    now = now or present(using)
    after = after or now.start()
    for _ in range(GAPS):
        reading = _reading(after, now)
        if reading is None:
            return Page(items=b"", count=0, cursor=after, more=False)
        if reading.holds_nothing:
            return Page(items=b"", count=0, cursor=reading.next(reading.window.top)[0], more=False)
        if found is None:
            bound = size if sizes.may_be_large(using, limit=limit) else None
            query = "queries/feed/compact" if compact else "queries/feed/page"
            # A cursor that somebody made up may have all of the log looked at for stragglers.
            within = reading.late > SCAN
            read = reading.read(
                query, limit=limit, size=bound, models=models, using=using, old=old, as_bytes=True, within=within
            )
            found = (read[0][0], *_joined([row[1:] for row in read])) if compact else read[0]
        dropped, count, last, cut, items = found
        _kept(reading, dropped, now, using)
        reached = last if cut or count == limit else _reached(reading, now, empty=not count, using=using)
        after, more = reading.next(reached)
        if not (more and reading.is_gap_before(after)):
            break
        found = None
    return Page(items=items, count=count, cursor=after, more=more or after.tick < now.tick)


def _joined(found: Sequence[tuple[Any, ...]]) -> tuple[int, int, bool, bytes]:
    """Return how many changes a compact page has, the last one's id, whether it was cut, and a line for each model."""
    rows = [row for row in found if row[1] is not None]
    lines = wire.write_parts((label.decode(), columns, items) for label, _, _, _, columns, items in rows)
    last = max((row[2] for row in rows), default=0)
    return sum(row[1] for row in rows), last, any(row[3] for row in rows), lines


def rows(
    after: Cursor | None,
    *,
    limit: int,
    models: Collection[str] | None = None,
    using: str = "default",
    now: Present | None = None,
    size: int = sizes.PAGE,
) -> Rows:
    """Return what `page` returns, change by change."""
    now = now or present(using)
    after = after or now.start()
    for _ in range(GAPS):
        reading = _reading(after, now)
        if reading is None:
            return Rows(rows=(), cursor=after, more=False)
        if reading.holds_nothing:
            return Rows(rows=(), cursor=reading.next(reading.window.top)[0], more=False)
        bound = size if sizes.may_be_large(using, limit=limit) else None
        read = reading.read("queries/feed/rows", limit=limit, size=bound, models=models, using=using)
        _kept(reading, read[0][0], now, using)
        found = tuple(Row(*row) for _, *row, _ in read if row[0] is not None)
        full = len(found) == limit or bool(read[-1][-1])
        reached = found[-1].version if full else _reached(reading, now, empty=not found, using=using)
        after, more = reading.next(reached)
        if not (more and reading.is_gap_before(after)):
            break
    return Rows(rows=found, cursor=after, more=more or after.tick < now.tick, reading=reading)


def _reading(since: Cursor, now: Present) -> Reading | None:
    """Decide what to read next; None where this server lags behind the cursor."""
    check(since, now)
    if is_ahead(since, now):
        return None
    upto = since.window
    if upto is None:
        upto = Window(seq=now.seq, floor=now.floor, snapshot=now.snapshot, last=0, top=now.top)
        since = dataclasses.replace(since, history=now.history, tick=now.tick)
    low = max(upto.last, since.seq)
    return Reading(since=since, window=upto, high=min(upto.top, low + SCAN), restored=now.restored)


def is_ahead(cursor: Cursor, now: Present) -> bool:
    """Say whether the cursor has seen what this server, a standby, has not.

    The snapshots are asked, too: of two ticks made at once the one with the lower number may have seen more.
    """
    return now.standby and (cursor.tick > now.tick or not now.snapshot.covers((cursor.window or cursor).snapshot))


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


def lacks(cursor: Cursor, dropped: int, dropped_xid: int) -> bool:
    """Say whether who is at the cursor may not have had a change that is gone, where all up to the id `dropped` are.

    `dropped_xid` is the newest transaction that wrote one of them: one that ran when the cursor was taken may have
    written below ids that the cursor has seen.
    """
    last = cursor.window.last if cursor.window else 0
    if max(cursor.floor, last) >= dropped:
        return False
    return max(cursor.seq, last) < dropped or cursor.snapshot.xmin <= dropped_xid


def _kept(reading: Reading, dropped: int | None, now: Present, using: str) -> None:
    """Raise `CursorExpired` where what was read may lack a change because a partition went meanwhile."""
    if dropped != now.dropped:
        check(reading.since, present(using))


def _reached(reading: Reading, now: Present, *, empty: bool, using: str) -> int:
    """Return the id that a page with room left has reached: after an empty one, beyond any gap that follows."""
    if not empty or reading.high >= reading.window.top:
        return reading.high
    query = sql.compose("queries/feed/next_id", last=reading.high, top=reading.window.top)
    ((following, dropped),) = sql.run(using, query)
    _kept(reading, dropped, now, using)
    return reading.window.top if following is None else following - 1
