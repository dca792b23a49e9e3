"""Positions: each replica's cursor, which moves in the transaction that applies a page, under its service's lock."""

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
    """Where a replica is in its source's changes."""

    cursor: str
    """The cursor after the last page that it applied."""
    follows: bool
    """True if it goes on from the cursor; False if its rows are to be copied first."""
    absent: frozenset[str]
    """The columns that its source was seen not to send."""


def lock_query(service: str, name: str | None = None) -> psql.Composed:
    """Return the query that locks the positions of a service's replicas until the transaction ends, and reads them.

    With a `name`, only that position.
    """
    return sql.compose("queries/replica/positions", service=service, name=name)


def lock(service: str, using: str) -> dict[str, Position]:
    """Lock the positions of a service's replicas until the transaction ends; return them by replica."""
    # Always all of a service, in the order of their names: any two transactions that apply pages of one service wait
    # for each other here, and so never for a row of a replica's table in another order.
    return by_name((*row,) for row in sql.run(using, lock_query(service)))


def lock_own(name: str, service: str, using: str) -> dict[str, Position]:
    """Lock what must not move while something is done to one replica or handler; return the positions by name."""
    # Handlers of this service's own log move each by itself. Their transactions may take long: none waits for another.
    return by_name((*row,) for row in sql.run(using, lock_query(service, None if service else name)))


def by_name(rows: Iterable[tuple[str, str, bool, str]]) -> dict[str, Position]:
    """Return the positions that `lock_query` read, by replica."""
    return {
        name: Position(cursor=cursor, follows=follows, absent=frozenset(json.loads(absent)))
        for name, cursor, follows, absent in rows
    }


def move_query(replicas: Collection[Effect], cursor: str) -> psql.Composed:
    """Return the statement that moves replicas to a cursor, from which they follow."""
    return sql.compose("queries/replica/move", cursor=cursor, names=[replica.name for replica in replicas])


def move(replicas: Collection[Effect], cursor: str, *, using: str) -> None:
    """Move replicas to a cursor, from which they follow."""
    sql.run(using, move_query(replicas, cursor))


def hurry(service: str, using: str) -> None:
    """Let the replicas of a service that wait after a failure be tried now."""
    ReplicaState.objects.using(using).filter(service=service).exclude(next_attempt=None).update(next_attempt=None)


def copy_again(replicas: Iterable[Effect | Replica], using: str, *, expired: bool = False) -> None:
    """Let replicas be copied anew. Their rows stay until the copy is whole.

    The copy goes on from their cursor, so that handlers miss no change, unless that cursor has `expired`.
    """
    for replica in replicas:
        ReplicaState.objects.using(using).filter(name=replica.name).update(
            state=ReplicaState.State.COPYING,
            shape="",
            source=replica.source,
            **({"cursor": ""} if expired else {}),
        )


def note_absent(replica: Effect, absent: Collection[str], using: str) -> None:
    """Note which columns the source does not send, and log them."""
    if absent:
        text = "Replica %s: %s does not send %s; rows get the default. In `fields`, None says that a field is yours."
        logger.warning(text, replica.name, replica.source, ", ".join(sorted(absent)))
    ReplicaState.objects.using(using).filter(name=replica.name).update(absent=sorted(absent))


def fail(failed: exceptions.ReplicaFailed, using: str, now: datetime) -> float:
    """Let a replica wait after a failure, longer after each; return the seconds. Its cursor stays: nothing is lost.

    A replica that needs a row of another waits as long as that other does.
    """
    settings = conf.get()
    with transaction.atomic(using):
        # Locked: a follower and a receiver may fail on it at once, and each failure counts.
        state = ReplicaState.objects.using(using).select_for_update().get(name=failed.name)
        state.attempts += failed.needs is None and not isinstance(failed.__cause__, exceptions.RetryAfter)
        wait = backoff.delay(
            max(state.attempts, 1),
            first=settings.BACKOFF_FIRST,
            limit=settings.BACKOFF_LIMIT,
            random=lambda: 0.5 + random.random() / 2,  # noqa: S311  nothing secret
        )
        wait = _asked(failed.__cause__, wait, limit=settings.BACKOFF_LIMIT)
        needed = ReplicaState.objects.using(using).filter(name=failed.needs, next_attempt__gt=now).first()
        if needed is not None and needed.next_attempt is not None:
            wait = (needed.next_attempt - now).total_seconds()
        state.state = ReplicaState.State.FAILING
        state.failing_since = state.failing_since or now
        state.next_attempt = now + timedelta(seconds=wait)
        state.last_error = failed.reason[:1000]
        state.save(update_fields=["attempts", "state", "failing_since", "next_attempt", "last_error"], using=using)
    return wait


def _asked(cause: BaseException | None, wait: float, *, limit: float) -> float:
    """Return how long to wait: what a handler asks for, or `wait` where it asks for nothing."""
    if isinstance(cause, exceptions.RetryAfter):
        return cause.seconds
    return limit if isinstance(cause, exceptions.Refused) else wait
