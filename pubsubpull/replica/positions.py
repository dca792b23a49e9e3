"""Positions: the cursor of each replica. It moves in the transaction that applies a page, under the service's lock."""

from __future__ import annotations

import dataclasses
import json
import logging
import random
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction

from pubsubpull import conf, exceptions
from pubsubpull.base import backoff
from pubsubpull.capture import sql
from pubsubpull.replica.models import ReplicaState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from psycopg import sql as psql

    from pubsubpull.replica.declaration import Replica
    from pubsubpull.replica.effects import Effect

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Position:
    """The position of a replica in the changes of its source."""

    cursor: str
    """The cursor after the last applied page."""
    follows: bool
    """True if the replica follows from the cursor; False if its rows must be copied first."""
    absent: frozenset[str]
    """The replicated columns that the source was seen not to send."""


def lock_query(service: str, name: str | None = None) -> psql.Composed:
    """Return the query that locks the positions of a service's replicas until the transaction ends, and reads them.

    With a `name`, only that position.
    """
    return sql.compose("queries/replica/positions", service=service, name=name)


def lock(service: str, using: str) -> dict[str, Position]:
    """Lock the positions of a service's replicas until the transaction ends; return them by replica."""
    # Always lock all positions of a service, in the order of their names. Two transactions that apply pages of one
    # service then wait for each other here, and cannot deadlock on the rows of replicas.
    return by_name((*row,) for row in sql.run(using, lock_query(service)))


def lock_own(name: str, service: str, using: str) -> dict[str, Position]:
    """Lock what must not move while something is done to one replica or handler; return the positions by name."""
    # Handlers of this service's own log move each by itself. Their transactions may take long: none waits for another.
    return by_name((*row,) for row in sql.run(using, lock_query(service, None if service else name)))


def by_name(rows: Iterable[tuple[str, str, bool, str]]) -> dict[str, Position]:
    """Return the rows of `lock_query` as positions, by replica."""
    return {
        name: Position(cursor=cursor, follows=follows, absent=frozenset(json.loads(absent)))
        for name, cursor, follows, absent in rows
    }


def move_query(replicas: Collection[Effect], cursor: str) -> psql.Composed:
    """Return the statement that moves replicas to a cursor and lets them follow from it."""
    return sql.compose("queries/replica/move", cursor=cursor, names=[replica.name for replica in replicas])


def move(replicas: Collection[Effect], cursor: str, *, using: str) -> None:
    """Move replicas to a cursor, and let them follow from it."""
    sql.run(using, move_query(replicas, cursor))


def hurry(service: str, using: str) -> None:
    """End the wait of a service's failed replicas: they are tried again now."""
    ReplicaState.objects.using(using).filter(service=service).exclude(next_attempt=None).update(next_attempt=None)


def copy_again(replicas: Iterable[Effect | Replica], using: str, *, expired: bool = False) -> None:
    """Mark replicas to be copied again. Their rows stay until the copy is whole.

    With `expired`, the log no longer has the changes after their cursor, and the copy starts at the present.
    """
    # Otherwise the cursor stays, and the copy starts there, so that handlers miss no change.
    for replica in replicas:
        ReplicaState.objects.using(using).filter(name=replica.name).update(
            state=ReplicaState.State.COPYING,
            shape="",
            source=replica.source,
            **({"cursor": ""} if expired else {}),
        )


def note_absent(replica: Effect, absent: Collection[str], using: str) -> None:
    """Store and log the columns that the source does not send."""
    if absent:
        text = "Replica %s: %s does not send %s; rows get the default. None in `fields` marks a field not replicated."
        logger.warning(text, replica.name, replica.source, ", ".join(sorted(absent)))
    ReplicaState.objects.using(using).filter(name=replica.name).update(absent=sorted(absent))


def fail(failed: exceptions.ReplicaFailed, using: str, now: datetime) -> float:
    """Record the failure of a replica; return the seconds until its next attempt, which grow with each failure.

    The cursor stays, so no change is lost. A replica that needs a row of a waiting replica waits as long as that one.
    """
    settings = conf.get()
    with transaction.atomic(using):
        # Locked: a follower and a receiver may record failures at once, and each must be counted.
        state = ReplicaState.objects.using(using).select_for_update().get(name=failed.name)
        # Waiting for another replica is no failed attempt, and neither is a retry that the handler asked for.
        state.attempts += failed.needs is None and not isinstance(failed.__cause__, exceptions.RetryAfter)
        wait = backoff.delay(
            max(state.attempts, 1),
            first=settings.BACKOFF_FIRST,
            limit=settings.BACKOFF_LIMIT,
            # Jitter: replicas that failed together must not all retry at the same moment.
            random=lambda: 0.5 + random.random() / 2,  # noqa: S311  nothing secret
        )
        wait = _asked(failed.__cause__, wait, limit=settings.BACKOFF_LIMIT)
        needed = ReplicaState.objects.using(using).filter(name=failed.needs, next_attempt__gt=now).first()
        if needed is not None and needed.next_attempt is not None:
            wait = (needed.next_attempt - now).total_seconds()
        state.state = ReplicaState.State.FAILING
        state.failing_since = state.failing_since or now
        state.next_attempt = now + timedelta(seconds=wait)
        state.last_error = failed.reason[:1000]  # Bounded: an error may quote a whole row.
        state.save(update_fields=["attempts", "state", "failing_since", "next_attempt", "last_error"], using=using)
    return wait


def _asked(cause: BaseException | None, wait: float, *, limit: float) -> float:
    """Return how long to wait: what a handler asks for, or `wait` where it asks for nothing."""
    if isinstance(cause, exceptions.RetryAfter):
        return cause.seconds
    return limit if isinstance(cause, exceptions.Refused) else wait
