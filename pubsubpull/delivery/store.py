"""What a worker reads and writes in the database. Every write but a claim is refused where its lease is no more."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from pubsubpull.capture import clock, sql
from pubsubpull.delivery.lease import Held
from pubsubpull.log import feed
from pubsubpull.log.cursor import Cursor
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import backfill_position
from pubsubpull.subscriptions.keyring import Keyring
from pubsubpull.wire.ops import LETTERS

if TYPE_CHECKING:
    import uuid
    from collections.abc import Collection, Iterable

COLUMNS = (
    "id",
    "lease",
    "cursor",
    "told",
    "initial",
    "state",
    "attempts",
    "failing_since",
    "next_attempt",
    "free_at",
    "allowed_rate",
    "last_error",
    "last_delivered",
    "delivered",
)
"""What `record` writes, in the names of `Record`."""


SIGNATURE = 11
"""The column of a claimed row that says how it is signed; the secrets follow it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """What a worker sees: the log's present, how many subscriptions name it, and whether there are some to be had."""

    present: feed.Present
    mine: int
    free: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """How a subscription fares, to be recorded. `delivered` is how many changes were since the last record."""

    id: uuid.UUID
    lease: int
    cursor: str
    told: str
    initial: str
    state: str
    attempts: int
    failing_since: float | None
    next_attempt: float | None
    free_at: float | None
    allowed_rate: int | None
    last_error: str
    last_delivered: float | None
    delivered: int


class Store:
    """The database `using` for the worker of this id."""

    def __init__(self, *, using: str, worker: uuid.UUID) -> None:
        self.using = using
        self.worker = worker

    def look(self) -> Look:
        """Look at the log and at what there is to do."""
        mine_clock = clock.of(self.using)
        asked = mine_clock.count()
        ((*present, seconds, mine, free),) = self._run("queries/delivery/look")
        mine_clock.tell(seconds, asked=asked)
        return Look(present=feed.as_present(*present), mine=mine, free=free)

    def read(self, after: Cursor, *, limit: int, models: Collection[str], now: feed.Present) -> feed.Rows:
        """Read the log after a cursor."""
        return feed.rows(after, limit=limit, models=models, using=self.using, now=now)

    def renew(self, *, name: str, lease: float) -> None:
        """Say that the worker lives."""
        self._run("queries/delivery/renew", name=name, lease=lease)
        self._run("queries/delivery/bury")

    def standing(self) -> tuple[int, int]:
        """Return how many workers live and how many subscriptions there are."""
        ((workers, subscriptions),) = self._run("queries/delivery/standing")
        return workers, subscriptions

    def claim(self, at_most: int) -> list[tuple[Any, ...]]:
        """Take at most so many subscriptions; give them as rows for `held`, with the keys that sign for each."""
        rows = self._run("queries/delivery/claim", at_most=at_most)
        keyring = Keyring(self.using)
        return [
            (*row[: SIGNATURE + 1], keyring.keys(row[SIGNATURE], row[SIGNATURE + 1]), *row[SIGNATURE + 2 :])
            for row in rows
        ]

    def mine(self) -> dict[uuid.UUID, int]:
        """Return the leases of the subscriptions that name the worker."""
        return dict(self._run("queries/delivery/mine"))

    def grants(self) -> dict[int, frozenset[str]]:
        """Return what the consumers of the worker's subscriptions may have."""
        rows = self._run("queries/delivery/grants")
        return {consumer: frozenset(json.loads(granted or "[]")) for consumer, granted in rows}

    def record(self, records: Iterable[Record]) -> set[uuid.UUID]:
        """Write how subscriptions fare; return those that were the worker's to write."""
        rows = list(records)
        columns = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
        return {found for (found,) in self._run("queries/delivery/record", **columns)}

    def move(self, cursor: str, leases: Collection[tuple[uuid.UUID, int]]) -> None:
        """Write a cursor that subscriptions have come to without wanting anything."""
        self._run("queries/delivery/move", cursor=cursor, id=[a for a, _ in leases], lease=[b for _, b in leases])

    def release(self, ids: list[uuid.UUID] | None = None) -> None:
        """Let subscriptions go: these, or all."""
        self._run("queries/delivery/release", id=ids)

    def leave(self) -> None:
        """Let everything go and take the worker off the list."""
        self.release()
        self._run("queries/delivery/leave")

    def settle(self) -> None:
        """Do the log's little maintenance."""
        self._run("queries/feed/settle")

    def _run(self, query: str, /, **parts: Any) -> list[tuple[Any, ...]]:
        return sql.run(self.using, sql.compose(query, worker=self.worker, **parts))


def held(row: tuple[Any, ...]) -> Held:
    """Make what `claim` gave into a subscription in hand. Raises `CursorInvalid`."""
    (
        id_,
        lease,
        name,
        consumer,
        callback,
        wanted,
        ops,
        batch,
        concurrency,
        form,
        on_failure,
        _,
        keys,
        state,
        cursor,
        told,
        rows,
        *fares,
        by,
        granted,
        max_rate,
        free_at,
        allowed_rate,
    ) = row
    attempts, failing_since, next_attempt, last_error = fares
    grants = frozenset(json.loads(granted))
    place = Cursor.decode(cursor)
    return Held(
        id=id_,
        lease=lease,
        name=name,
        consumer=consumer,
        callback=callback,
        models=_allowed(frozenset(json.loads(wanted)), grants),
        ops=frozenset(LETTERS[op] for op in json.loads(ops)),
        batch=batch,
        max_rate=max_rate,
        free_at=free_at,
        allowed_rate=allowed_rate,
        concurrency=concurrency,
        form=form,
        on_failure=on_failure,
        keys=keys,
        state=state,
        cursor=place,
        told=told,
        initial=backfill_position.decode(rows),
        attempts=attempts,
        failing_since=failing_since,
        next_attempt=next_attempt,
        last_error=last_error,
        consumer_id=by,
        granted=grants,
        recorded_seq=place.seq,
        recorded_state=state,
    )


def broken(row: tuple[Any, ...]) -> Record:
    """Return the record that disables a subscription whose cursor is none."""
    return Record(
        id=row[0],
        lease=row[1],
        cursor=row[14],
        told=row[15],
        initial=row[16],
        state="disabled",
        attempts=row[17],
        failing_since=row[18],
        next_attempt=None,
        free_at=None,
        allowed_rate=None,
        last_error="What is stored is no cursor. PUT the subscription again with after.",
        last_delivered=None,
        delivered=0,
    )


def _allowed(wanted: frozenset[str], granted: frozenset[str]) -> frozenset[str]:
    """Return the models that are wanted, less what is no longer granted."""
    return wanted if consumers.ALL in granted else wanted & granted
