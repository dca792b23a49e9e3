"""Cohorts: replicas of a service that are at the same cursor, and so move together."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import Exists, OuterRef

from pubsubpull.replica import declaration, positions, relations
from pubsubpull.replica.handlers import declare as handlers
from pubsubpull.replica.handlers import effect as handling
from pubsubpull.replica.models import Parked, ReplicaState
from pubsubpull.replica.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from django.db.models import QuerySet

    from pubsubpull.replica.effects import Effect
    from pubsubpull.replica.positions import Position


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cohort:
    """Replicas of a service that are at the same cursor, and so move together."""

    service: str
    """The service that they follow."""
    cursor: str
    """Where all of them are."""
    members: tuple[Effect, ...]
    """The effects that have a position there, by name."""
    apart: bool = False
    """True for a replica that has changes set aside: it passes by some that others apply, and so moves alone."""

    failing: bool = False
    """True if one of them failed on what comes next."""

    @property
    def effects(self) -> list[Effect]:
        """Return all effects of a page, in order: tables first, for handlers read the rows as the page leaves them."""
        tables = [effect for effect in self.members if effect.table is not None]
        others = [effect for effect in self.members if effect.table is None]
        called = [handling.along(effect) for effect in tables]
        return [*tables, *filter(None, called), *others]

    @property
    def sources(self) -> list[str]:
        """Return the models that they follow."""
        return sorted({effect.source for effect in self.members})

    def moved(self, cursor: str) -> Cohort:
        """Return the cohort at another cursor, to which its position has been moved."""
        return dataclasses.replace(self, cursor=cursor, failing=False)


def of_service(service: str) -> list[Effect]:
    """Return what is declared to follow a service, each with a position of its own."""
    tables = [Table(replica) for replica in declaration.all_replicas().values() if replica.service == service]
    return [*tables, *handling.on_their_own(service)]


def services() -> list[str]:
    """Return the services that something is declared to follow."""
    named = {handler.service for handler in handlers.all_handlers() if handler.service}
    return sorted({replica.service for replica in declaration.all_replicas().values()} | named)


def all_effects() -> list[Effect]:
    """Return everything that has a position here: what follows other services, and the handlers of this one."""
    return [effect for service in (*services(), handlers.LOCAL) for effect in of_service(service)]


def enter(service: str, using: str) -> None:
    """Give each replica a position. If its declaration differs from what was copied, let it be copied again."""
    known = {state.name: state for state in _states(service, using)}
    for replica in of_service(service):
        state = known.get(replica.name)
        if state is None:
            new = ReplicaState(name=replica.name, service=service, source=replica.source)
            if replica.from_start:  # an empty cursor is the log's start, and with a shape nothing is to be copied
                new.shape, new.state = replica.shape, ReplicaState.State.FOLLOWING
            ReplicaState.objects.using(using).bulk_create([new], ignore_conflicts=True)
            # It may have followed another service until now.
            ReplicaState.objects.using(using).filter(name=replica.name).exclude(service=service).update(
                service=service, source=replica.source, cursor="", shape=""
            )
        elif state.shape not in {"", replica.shape}:
            positions.copy_again([replica], using)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The positions of a service's replicas at one moment, and which of them may move."""

    service: str
    now: datetime
    states: tuple[ReplicaState, ...]
    declared: tuple[Effect, ...]
    """What is declared to follow the service."""
    apart: frozenset[str] = frozenset()
    """The names of the replicas that have changes set aside."""

    def to_copy(self, *, without: Collection[str] = ()) -> Cohort | None:
        """Return a cohort whose rows are to be copied, or copied again; None if there is none.

        Left out are replicas that wait after a failure, and replicas tied to those: their rows could not refer to
        what the failed one lacks. Replicas that were never copied stay in: the failed one may wait for their rows.
        """
        waiting = {*without, *self._waiting()}
        never_copied = {state.name for state in self.states if not state.applied}
        cohorts = self._by_cursor(waiting | (relations.tied(waiting, self.declared) - never_copied), copied=False)
        return cohorts[0] if cohorts else None

    def cohorts(self, *, without: Collection[str] = ()) -> list[Cohort]:
        """Return the replicas that follow, by cursor, the largest cohort first.

        Left out are replicas that wait after a failure, and replicas tied to one that is being copied again. A replica
        tied to a waiting one goes on, until one of its rows needs a row that the waiting one lacks.
        """
        return self._by_cursor(
            {*without, *self._waiting(), *relations.tied(self._copied_again(), self.declared)}, copied=True
        )

    def to_join(self, copied: Collection[str]) -> list[Cohort]:
        """Return the cohorts that `copied` replicas may go on with; none in which a row may fail for a missing one."""
        stuck = self._waiting() | (self._copied_again() - {*copied})
        return self._by_cursor(relations.tied(stuck, self.declared), copied=True)

    def next_attempt(self) -> float | None:
        """Return the seconds until a replica that waits after a failure is to be tried again; None if none waits."""
        times = [state.next_attempt for state in self.states if state.next_attempt]
        return max(0.0, (min(times) - self.now).total_seconds()) if times else None

    def is_quiet(self, seconds: float) -> bool:
        """Return True if nothing was applied for so long, or if some replicas are at another cursor than the others."""
        applied = [state.applied for state in self.states if state.applied]
        return len(self.cohorts()) > 1 or not applied or max(applied) < self.now - timedelta(seconds=seconds)

    def _waiting(self) -> set[str]:
        return {state.name for state in self.states if state.next_attempt is not None and state.next_attempt > self.now}

    def _copied_again(self) -> set[str]:
        return {state.name for state in self.states if not state.shape and state.applied}

    def _by_cursor(self, without: Collection[str], *, copied: bool) -> list[Cohort]:
        moving = {effect.name: effect for effect in self.declared if effect.name not in without}
        failing = {state.name for state in self.states if state.failing_since}
        by_cursor: dict[tuple[str, str], list[Effect]] = {}
        for state in self.states:
            if bool(state.shape) == copied and state.name in moving:
                alone = state.name if copied and state.name in self.apart else ""
                by_cursor.setdefault((state.cursor, alone), []).append(moving[state.name])
        cohorts = [
            Cohort(
                service=self.service,
                cursor=cursor,
                members=tuple(members),
                apart=bool(alone),
                failing=any(effect.name in failing for effect in members),
            )
            for (cursor, alone), members in by_cursor.items()
        ]
        return sorted(cohorts, key=lambda cohort: -len(cohort.members))


def snapshot(service: str, using: str, now: datetime) -> Snapshot:
    """Return the positions of a service's replicas as they are now."""
    parked = Parked.objects.using(using).filter(replica=OuterRef("name"))
    states = tuple(_states(service, using).annotate(apart=Exists(parked)))
    apart = frozenset(state.name for state in states if state.apart)
    return Snapshot(service=service, now=now, states=states, declared=tuple(of_service(service)), apart=apart)


def following(service: str, using: str, now: datetime, *, without: Collection[str] = ()) -> list[Cohort]:
    """Return the cohorts of a service that follow, the largest first."""
    return snapshot(service, using, now).cohorts(without=without)


def is_current(cohort: Cohort, locked: Mapping[str, Position], *, follows: bool = True) -> bool:
    """Return True if all of a cohort are still at its cursor, and follow; without `follows`, are to be copied.

    Only the locked positions tell: until the lock was had, another process may have applied the same page.
    """
    current = [locked.get(effect.name) for effect in cohort.members]
    return all(position and (position.cursor, position.follows) == (cohort.cursor, follows) for position in current)


def _states(service: str, using: str) -> QuerySet[ReplicaState]:
    return ReplicaState.objects.using(using).filter(service=service).order_by("name")
