"""A worker's reads and writes. The database refuses each write under a lost lease, by its fencing token."""

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
"""The columns of a checkpoint."""
TIMES = frozenset(field.name for field in Subscription._meta.get_fields() if isinstance(field, DateTimeField))
"""The columns with times."""
SERVED_STATES = sorted(SERVED)
"""The states in which workers claim subscriptions, as the queries take them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Poll:
    """The answer to a worker's poll."""

    present: Present
    """The log's present."""
    mine: int
    """How many subscriptions name the worker."""
    free: bool
    """True if there may be subscriptions to claim."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A claimed subscription with a stored cursor that cannot be read."""

    id: uuid.UUID
    """The subscription's id."""
    lease: int
    """The fencing token of the claim."""
    state: str
    """The subscription's state."""


class Store:
    """The database `using` for the worker of this id."""

    def __init__(self, *, using: str, worker: uuid.UUID) -> None:
        self.using = using
        self.worker = worker

    def poll(self) -> Poll:
        """Read the log's present, how many subscriptions the worker has, and if there are some to claim."""
        database_clock = clock.of(self.using)
        # Counted before the query: the clock must know how long the answer was under way.
        asked = database_clock.count()
        query = sql.compose("queries/delivery/poll", worker=self.worker, served=SERVED_STATES)
        (row,) = sql.run_named(self.using, query)
        database_clock.tell(row["time"], asked=asked)
        return Poll(present=Present.of(row), mine=row["mine"], free=row["free"])

    def read(self, after: Cursor, *, limit: int, models: Collection[str], now: Present) -> feed.Rows:
        """Read the log after a cursor."""
        return feed.rows(after, limit=limit, models=models, using=self.using, now=now)

    def renew(self, *, name: str, lease: float) -> None:
        """Extend the worker's leases by `lease` seconds, and remove workers that are gone."""
        # First the own lease, so that this worker does not remove itself after a pause.
        self._run("queries/delivery/renew", name=name, lease=lease)
        self._run("queries/delivery/bury")

    def standing(self) -> tuple[int, int]:
        """Return the number of live workers and of subscriptions to serve."""
        ((workers, subscriptions),) = self._run("queries/delivery/standing", served=SERVED_STATES)
        return workers, subscriptions

    def claim(self, at_most: int) -> tuple[list[Lease], list[Unreadable]]:
        """Claim at most so many subscriptions; return their leases, and the subscriptions with unreadable cursors."""
        query = sql.compose("queries/delivery/claim", worker=self.worker, at_most=at_most, served=SERVED_STATES)
        rows = sql.run_named(self.using, query)
        # One keyring for all rows: the service's own keys are read at most once.
        keyring = Keyring(self.using)
        leases, unreadable = [], []
        for row in rows:
            try:
                # Swallowed for this row: one unreadable cursor must not cost the worker the others that it has claimed.
                leases.append(_lease(row, keyring))
            except exceptions.CursorInvalid:
                unreadable.append(Unreadable(id=row["id"], lease=row["lease"], state=row["state"]))
        return leases, unreadable

    def disable(self, unreadable: Collection[Unreadable], *, error: str) -> None:
        """Disable subscriptions with unreadable cursors."""
        self._run(
            "queries/delivery/disable",
            id=[subscription.id for subscription in unreadable],
            # A PUT may have mended it since the claim: its new token keeps it from being disabled.
            lease=[subscription.lease for subscription in unreadable],
            state=Subscription.State.DISABLED.value,
            error=error,
        )

    def mine(self) -> dict[uuid.UUID, int]:
        """Return the fencing tokens of the subscriptions that name the worker, by id."""
        return dict(self._run("queries/delivery/mine"))

    def grants(self) -> dict[int, frozenset[str]]:
        """Return the grants of the consumers of the worker's subscriptions, by id."""
        rows = self._run("queries/delivery/grants")
        return {consumer: frozenset(json.loads(granted or "[]")) for consumer, granted in rows}

    def record(self, checkpoints: Mapping[Lease, Checkpoint]) -> set[uuid.UUID]:
        """Write checkpoints; return the ids of the subscriptions with valid leases, which alone were written."""
        rows = sql.run(self.using, recording(checkpoints, worker=self.worker))
        return {id_ for (id_,) in rows}

    def move(self, cursor: str, leases: Collection[Lease]) -> None:
        """Write the cursor of subscriptions for which the log had no changes up to it."""
        self._run(
            "queries/delivery/move",
            cursor=cursor,
            id=[lease.terms.id for lease in leases],
            lease=[lease.terms.lease for lease in leases],
        )

    def release(self, ids: list[uuid.UUID] | None = None) -> None:
        """Release these subscriptions, or all."""
        self._run("queries/delivery/release", id=ids)

    def leave(self) -> None:
        """Release all subscriptions and remove the worker."""
        self.release()
        self._run("queries/delivery/leave")

    def settle(self) -> None:
        """Move the log's settled id forward."""
        self._run("queries/feed/settle")

    def _run(self, query: str, /, **parts: Any) -> list[tuple[Any, ...]]:
        return sql.run(self.using, sql.compose(query, worker=self.worker, **parts))


def recording(checkpoints: Mapping[Lease, Checkpoint], *, worker: uuid.UUID) -> psycopg_sql.Composed:
    """Return the statement that writes checkpoints and returns the ids of the subscriptions written."""
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
    """Return a checkpoint's columns as JSON values."""
    row = {name: getattr(checkpoint, name) for name in COLUMNS}
    row["cursor"] = checkpoint.cursor.encode()
    row["backfill"] = checkpoint.backfill.encode() if checkpoint.backfill else ""
    for name in TIMES & row.keys():
        if row[name] is not None:
            # As text: the checkpoints go as JSON, which has no times.
            row[name] = dt.datetime.fromtimestamp(row[name], dt.UTC).isoformat()
    return row


def _lease(row: Mapping[str, Any], keyring: Keyring) -> Lease:
    """Return the lease of a claimed row; raise `CursorInvalid` if its cursor cannot be read."""
    values = {
        **row,
        "labels": json.loads(row["labels"]),
        "ops": json.loads(row["ops"]),
        "granted": frozenset(json.loads(row["granted"])),
        "keys": keyring.keys(row["signature"], row["secrets"]),
        "cursor": Cursor.decode(row["cursor"]),
        "backfill": backfill_position.decode(row["backfill"]),
    }
    checkpoint = _filled(Checkpoint, values)
    return Lease(terms=_filled(Terms, values), checkpoint=checkpoint, recorded=checkpoint)


def _filled(kind: type[T], values: Mapping[str, Any]) -> T:
    """Return a dataclass filled from the columns of the same names."""
    return kind(**{field.name: values[field.name] for field in dataclasses.fields(kind)})
