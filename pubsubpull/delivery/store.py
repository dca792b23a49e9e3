"""What a worker reads and writes in the database. Every write but a claim is refused where its lease is no more."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from typing import TYPE_CHECKING, Any, TypeVar

from django.db.models import DateTimeField
from psycopg import sql as psycopg_sql

from pubsubpull import exceptions
from pubsubpull.capture import clock, sql
from pubsubpull.delivery.lease import Checkpoint, Lease, Terms
from pubsubpull.log import feed
from pubsubpull.log.cursor import Cursor
from pubsubpull.log.present import Present
from pubsubpull.subscriptions import backfill_position
from pubsubpull.subscriptions.keyring import Keyring
from pubsubpull.subscriptions.models import SERVED, Subscription

if TYPE_CHECKING:
    import uuid
    from collections.abc import Collection, Mapping

T = TypeVar("T", Terms, Checkpoint)

COLUMNS = tuple(field.name for field in dataclasses.fields(Checkpoint))
"""The columns that a checkpoint is recorded in."""
TIMES = frozenset(field.name for field in Subscription._meta.get_fields() if isinstance(field, DateTimeField))
"""The columns that hold times."""
SERVED_STATES = sorted(SERVED)
"""The states of the subscriptions that workers take, for the queries that ask for them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """What a worker sees when it looks at the database."""

    present: Present
    """The log's present."""
    mine: int
    """How many subscriptions name the worker."""
    free: bool
    """True if there are subscriptions to be had."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A subscription that was claimed, and whose stored cursor cannot be read."""

    id: uuid.UUID
    lease: int
    state: str


class Store:
    """The database `using` for the worker of this id."""

    def __init__(self, *, using: str, worker: uuid.UUID) -> None:
        self.using = using
        self.worker = worker

    def look(self) -> Look:
        """Look at the log and at what there is to do."""
        mine_clock = clock.of(self.using)
        asked = mine_clock.count()
        query = sql.compose("queries/delivery/look", worker=self.worker, served=SERVED_STATES)
        (row,) = sql.run_named(self.using, query)
        mine_clock.tell(row["time"], asked=asked)
        return Look(present=Present.of(row), mine=row["mine"], free=row["free"])

    def read(self, after: Cursor, *, limit: int, models: Collection[str], now: Present) -> feed.Rows:
        """Read the log after a cursor."""
        return feed.rows(after, limit=limit, models=models, using=self.using, now=now)

    def renew(self, *, name: str, lease: float) -> None:
        """Say that the worker lives."""
        self._run("queries/delivery/renew", name=name, lease=lease)
        self._run("queries/delivery/bury")

    def standing(self) -> tuple[int, int]:
        """Return how many workers live and how many subscriptions there are."""
        ((workers, subscriptions),) = self._run("queries/delivery/standing", served=SERVED_STATES)
        return workers, subscriptions

    def claim(self, at_most: int) -> tuple[list[Lease], list[Unreadable]]:
        """Take at most so many subscriptions; return their leases, and those whose cursors cannot be read."""
        query = sql.compose("queries/delivery/claim", worker=self.worker, at_most=at_most, served=SERVED_STATES)
        rows = sql.run_named(self.using, query)
        keyring = Keyring(self.using)
        leases, unreadable = [], []
        for row in rows:
            try:
                leases.append(_lease(row, keyring))
            except exceptions.CursorInvalid:
                unreadable.append(Unreadable(id=row["id"], lease=row["lease"], state=row["state"]))
        return leases, unreadable

    def disable(self, unreadable: Collection[Unreadable], *, error: str) -> None:
        """Disable subscriptions whose cursors cannot be read."""
        self._run(
            "queries/delivery/disable",
            id=[subscription.id for subscription in unreadable],
            lease=[subscription.lease for subscription in unreadable],
            state=Subscription.State.DISABLED.value,
            error=error,
        )

    def mine(self) -> dict[uuid.UUID, int]:
        """Return the leases of the subscriptions that name the worker."""
        return dict(self._run("queries/delivery/mine"))

    def grants(self) -> dict[int, frozenset[str]]:
        """Return what the consumers of the worker's subscriptions may have."""
        rows = self._run("queries/delivery/grants")
        return {consumer: frozenset(json.loads(granted or "[]")) for consumer, granted in rows}

    def record(self, checkpoints: Mapping[Lease, Checkpoint]) -> set[uuid.UUID]:
        """Write the checkpoints of leases; return the ids of the subscriptions that were the worker's to write."""
        rows = sql.run(self.using, recording(checkpoints, worker=self.worker))
        return {id_ for (id_,) in rows}

    def move(self, cursor: str, leases: Collection[Lease]) -> None:
        """Write a cursor that subscriptions have come to without wanting anything."""
        self._run(
            "queries/delivery/move",
            cursor=cursor,
            id=[lease.terms.id for lease in leases],
            lease=[lease.terms.lease for lease in leases],
        )

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


def recording(checkpoints: Mapping[Lease, Checkpoint], *, worker: uuid.UUID) -> psycopg_sql.Composed:
    """Return the statement that writes the checkpoints of a worker's leases and gives their subscriptions' ids."""
    rows = [
        {"id": str(lease.terms.id), "lease": lease.terms.lease, **_columns(checkpoint)}
        for lease, checkpoint in checkpoints.items()
    ]
    return sql.compose(
        "queries/delivery/record",
        worker=worker,
        served=SERVED_STATES,
        columns=psycopg_sql.SQL(", ").join([psycopg_sql.Identifier(name) for name in COLUMNS]),
        values=psycopg_sql.SQL(", ").join([psycopg_sql.Identifier("v", name) for name in COLUMNS]),
        checkpoints=json.dumps(rows),
    )


def _columns(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return a checkpoint as the columns are written in JSON."""
    row = {name: getattr(checkpoint, name) for name in COLUMNS}
    row["cursor"] = checkpoint.cursor.encode()
    row["initial"] = checkpoint.initial.encode() if checkpoint.initial else ""
    for name in TIMES & row.keys():
        if row[name] is not None:
            row[name] = dt.datetime.fromtimestamp(row[name], dt.UTC).isoformat()
    return row


def _lease(row: Mapping[str, Any], keyring: Keyring) -> Lease:
    """Return the lease of a claimed row. Raises `CursorInvalid`."""
    values = {
        **row,
        "wanted": json.loads(row["wanted"]),
        "ops": json.loads(row["ops"]),
        "granted": frozenset(json.loads(row["granted"])),
        "keys": keyring.keys(row["signature"], row["secrets"]),
        "cursor": Cursor.decode(row["cursor"]),
        "initial": backfill_position.decode(row["initial"]),
    }
    checkpoint = _filled(Checkpoint, values)
    return Lease(terms=_filled(Terms, values), checkpoint=checkpoint, recorded=checkpoint)


def _filled(kind: type[T], values: Mapping[str, Any]) -> T:
    """Return a value of a dataclass whose fields are named as the columns are."""
    return kind(**{field.name: values[field.name] for field in dataclasses.fields(kind)})
