"""Where replicas stand: their cursors, which move in the transaction that applies a page, under a service's lock."""

from __future__ import annotations

import dataclasses
import json
import logging
import random
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Exists, OuterRef

from pubsubpull import conf
from pubsubpull.base import backoff
from pubsubpull.capture import sql
from pubsubpull.replica import declared, handlers, relations
from pubsubpull.replica.models import Parked, ReplicaState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from django.db.models import QuerySet
    from psycopg import sql as psql

    from pubsubpull import exceptions
    from pubsubpull.replica.declared import Follows


logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """Replicas of a service that stand at the same cursor, and so move together.

    One that has changes set aside goes `apart`: it passes by what the others apply.
    """

    service: str
    cursor: str
    replicas: tuple[Follows, ...]
    apart: bool = False

    @property
    def sources(self) -> list[str]:
        """The models that they follow."""
        return sorted({replica.source for replica in self.replicas})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """A replica's cursor, whether it follows from there, and the columns that its source was seen not to send."""

    cursor: str
    follows: bool
    absent: frozenset[str]


def of_service(service: str) -> list[Follows]:
    """Return what is declared to follow a service."""
    replicas = [replica for replica in declared.all_replicas().values() if replica.service == service]
    return [*replicas, *handlers.listeners(service)]


def services() -> list[str]:
    """Return the services that something is declared to follow."""
    named = {handler.service for handler in handlers.all_handlers() if handler.service}
    return sorted({replica.service for replica in declared.all_replicas().values()} | named)


def enter(service: str, using: str) -> None:
    """Give each replica a place. One that is declared otherwise than it was copied is to be copied again."""
    kept = {state.name: state for state in _states(service, using)}
    for replica in of_service(service):
        state = kept.get(replica.name)
        if state is None:
            made = ReplicaState(name=replica.name, service=service, source=replica.source)
            ReplicaState.objects.using(using).bulk_create([made], ignore_conflicts=True)
            # It may have followed another service until now.
            ReplicaState.objects.using(using).filter(name=replica.name).exclude(service=service).update(
                service=service, source=replica.source, cursor="", shape=""
            )
        elif state.shape not in {"", replica.shape}:
            copy_again([replica], using)


def hurry(service: str, using: str) -> None:
    """Let the replicas of a service that wait after a failure be tried now."""
    ReplicaState.objects.using(using).filter(service=service).exclude(next_attempt=None).update(next_attempt=None)


def copy_again(replicas: Iterable[Follows], using: str, *, expired: bool = False) -> None:
    """Let replicas be copied anew. Their rows stay until the copy is whole.

    The copy goes on from their cursor, so that handlers miss no change; but for one that has expired.
    """
    for replica in replicas:
        ReplicaState.objects.using(using).filter(name=replica.name).update(
            state=ReplicaState.State.COPYING,
            shape="",
            source=replica.source,
            **({"cursor": ""} if expired else {}),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """Where a service's replicas stood at one moment."""

    service: str
    now: datetime
    states: tuple[ReplicaState, ...]
    known: tuple[Follows, ...]
    apart: frozenset[str] = frozenset()

    def to_copy(self, *, without: Collection[str] = ()) -> Standing | None:
        """Return replicas that have no rows yet, or must have them anew.

        Left out are those that wait after a failure, and those that are tied to one: their rows could not refer to
        what it does not have. But not those that never had rows, for want of which it may wait.
        """
        waits = {*without, *self._waits()}
        never = {one.name for one in self.states if not one.applied}
        found = self._by_cursor(waits | (relations.tied(waits, self.known) - never), copied=False)
        return found[0] if found else None

    def standings(self, *, without: Collection[str] = ()) -> list[Standing]:
        """Return the replicas that follow, by where they stand, the most first.

        Left out are those that wait after a failure, and those that are tied to one that is being copied anew. Those
        that are tied to one that waits go on until a row needs what that one does not have.
        """
        return self._by_cursor({*without, *self._waits(), *relations.tied(self._anew(), self.known)}, copied=True)

    def to_meet(self, copied: Collection[str]) -> list[Standing]:
        """Return the replicas that `copied` ones may go on with, without those that a row may fail for."""
        return self._by_cursor(relations.tied(self._waits() | (self._anew() - {*copied}), self.known), copied=True)

    def waiting(self) -> float | None:
        """Return in how many seconds one that waits after a failure is to be tried again; None where none waits."""
        times = [state.next_attempt for state in self.states if state.next_attempt]
        return max(0.0, (min(times) - self.now).total_seconds()) if times else None

    def quiet(self, seconds: float) -> bool:
        """Say whether nothing was applied for so long, or some replicas stand elsewhere than the others."""
        applied = [state.applied for state in self.states if state.applied]
        return len(self.standings()) > 1 or not applied or max(applied) < self.now - timedelta(seconds=seconds)

    def _waits(self) -> set[str]:
        return {one.name for one in self.states if one.next_attempt is not None and one.next_attempt > self.now}

    def _anew(self) -> set[str]:
        return {one.name for one in self.states if not one.shape and one.applied}

    def _by_cursor(self, without: Collection[str], *, copied: bool) -> list[Standing]:
        going = {one.name: one for one in self.known if one.name not in without}
        by_cursor: dict[tuple[str, str], list[Follows]] = {}
        for state in self.states:
            if bool(state.shape) == copied and state.name in going:
                alone = state.name if copied and state.name in self.apart else ""
                by_cursor.setdefault((state.cursor, alone), []).append(going[state.name])
        found = [
            Standing(service=self.service, cursor=cursor, replicas=tuple(them), apart=bool(alone))
            for (cursor, alone), them in by_cursor.items()
        ]
        return sorted(found, key=lambda one: -len(one.replicas))


def look(service: str, using: str, now: datetime) -> Look:
    """Look where a service's replicas stand."""
    mine = Parked.objects.using(using).filter(replica=OuterRef("name"))
    states = tuple(_states(service, using).annotate(apart=Exists(mine)))
    apart = frozenset(state.name for state in states if state.apart)
    return Look(service=service, now=now, states=states, known=tuple(of_service(service)), apart=apart)


def standings(service: str, using: str, now: datetime, *, without: Collection[str] = ()) -> list[Standing]:
    """Return the replicas that follow, by where they stand, the most first; without those that are to stand still."""
    return look(service, using, now).standings(without=without)


def locking(service: str) -> psql.Composed:
    """Return the query that locks the places of a service's replicas until the transaction ends, and reads them."""
    return sql.compose("queries/replica/places", service=service)


def locked(service: str, using: str) -> dict[str, Place]:
    """Lock the places of a service's replicas until the transaction ends; return them by name."""
    return by_name((*row,) for row in sql.run(using, locking(service)))


def by_name(rows: Iterable[tuple[str, str, bool, str]]) -> dict[str, Place]:
    """Return the places that were read, by the name of their replica."""
    return {
        name: Place(cursor=cursor, follows=follows, absent=frozenset(json.loads(absent)))
        for name, cursor, follows, absent in rows
    }


def stand(standing: Standing, places: Mapping[str, Place], *, follow: bool = True) -> bool:
    """Say whether replicas still stand where they stood, and follow from there or are to be copied."""
    found = [places.get(replica.name) for replica in standing.replicas]
    return all(place and (place.cursor, place.follows) == (standing.cursor, follow) for place in found)


def moving(replicas: Collection[Follows], cursor: str) -> psql.Composed:
    """Return the statement that moves replicas to the cursor after what is applied: they follow."""
    return sql.compose("queries/replica/move", cursor=cursor, names=[replica.name for replica in replicas])


def move(replicas: Collection[Follows], cursor: str, *, using: str) -> None:
    """Move replicas to a cursor."""
    sql.run(using, moving(replicas, cursor))


def note_absent(replica: Follows, absent: Collection[str], using: str) -> None:
    """Note which columns the source does not send, and tell of it."""
    if absent:
        text = "Replica %s: %s does not send %s; rows get the default. In `fields`, None says that a field is yours."
        logger.warning(text, replica.name, replica.source, ", ".join(sorted(absent)))
    ReplicaState.objects.using(using).filter(name=replica.name).update(absent=sorted(absent))


def fail(failed: exceptions.ReplicaFailed, using: str, now: datetime) -> float:
    """Let a replica wait after a failure, longer after each; return the seconds. Its cursor stays: nothing is lost.

    One that needs another waits as long as that does.
    """
    settings = conf.get()
    with transaction.atomic(using):
        state = ReplicaState.objects.using(using).select_for_update().get(name=failed.name)
        state.attempts += failed.needs is None
        wait = backoff.delay(
            max(state.attempts, 1),
            first=settings.BACKOFF_FIRST,
            limit=settings.BACKOFF_LIMIT,
            random=lambda: 0.5 + random.random() / 2,  # noqa: S311  nothing secret
        )
        needed = ReplicaState.objects.using(using).filter(name=failed.needs, next_attempt__gt=now).first()
        if needed is not None and needed.next_attempt is not None:
            wait = (needed.next_attempt - now).total_seconds()
        state.state = ReplicaState.State.FAILING
        state.failing_since = state.failing_since or now
        state.next_attempt = now + timedelta(seconds=wait)
        state.last_error = failed.reason[:1000]
        state.save(update_fields=["attempts", "state", "failing_since", "next_attempt", "last_error"], using=using)
    return wait


def _states(service: str, using: str) -> QuerySet[ReplicaState]:
    return ReplicaState.objects.using(using).filter(service=service).order_by("name")
