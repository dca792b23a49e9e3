"""Cohorts: the replicas of a service at one cursor. They apply the same pages, and so move together."""

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
    """The replicas of a service at one cursor."""

    service: str
    """The service that they follow."""
    cursor: str
    """The cursor of all members."""
    members: tuple[Effect, ...]
    """The effects with a position at the cursor, sorted by name."""
    apart: bool = False
    """True for a cohort of one replica with parked changes: it skips changes that others apply, so it moves alone."""
    failing: bool = False
    """True if a member failed on the next page."""

    @property
    def effects(self) -> list[Effect]:
        """Return all effects of a page, in the order in which they are applied."""
        # Tables first: handlers read the rows as the page leaves them.
        tables = [effect for effect in self.members if effect.table is not None]
        others = [effect for effect in self.members if effect.table is None]
        called = [handling.along(effect) for effect in tables]
        return [*tables, *filter(None, called), *others]

    @property
    def sources(self) -> list[str]:
        """Return the models that the members follow, sorted."""
        return sorted({effect.source for effect in self.members})

    def moved(self, cursor: str) -> Cohort:
        """Return the cohort at another cursor."""
        return dataclasses.replace(self, cursor=cursor, failing=False)


def of_service(service: str) -> list[Effect]:
    """Return the declared effects of a service that have a position of their own."""
    tables = [Table(replica) for replica in declaration.all_replicas().values() if replica.service == service]
    return [*tables, *handling.on_their_own(service)]


def services() -> list[str]:
    """Return the names of the services with declared replicas or handlers, sorted."""
    named = {handler.service for handler in handlers.all_handlers() if handler.service}
    return sorted({replica.service for replica in declaration.all_replicas().values()} | named)


def all_effects() -> list[Effect]:
    """Return everything that has a position here: what follows other services, and the handlers of this one."""
    return [effect for service in (*services(), handlers.LOCAL) for effect in of_service(service)]


def enter(service: str, using: str) -> None:
    """Give each replica a position. Replicas with a changed declaration are marked to be copied again."""
    known = {state.name: state for state in _states(service, using)}
    for replica in of_service(service):
        state = known.get(replica.name)
        if state is None:
            new = ReplicaState(name=replica.name, service=service, source=replica.source)
            if replica.from_start:  # an empty cursor is the log's start, and with a shape nothing is to be copied
                new.shape, new.state = replica.shape, ReplicaState.State.FOLLOWING
            # Conflicts are ignored: another process may enter it at the same moment, and the first row counts.
            ReplicaState.objects.using(using).bulk_create([new], ignore_conflicts=True)
            # A row of this name may exist already, if the replica followed another service until now.
            ReplicaState.objects.using(using).filter(name=replica.name).exclude(service=service).update(
                service=service, source=replica.source, cursor="", shape=""
            )
        elif state.shape not in {"", replica.shape}:
            positions.copy_again([replica], using)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The positions of a service's replicas at one moment."""

    service: str
    """The service's name."""
    now: datetime
    """The moment, by the database's clock."""
    states: tuple[ReplicaState, ...]
    """The stored positions, sorted by name."""
    declared: tuple[Effect, ...]
    """The declared effects of the service."""
    apart: frozenset[str] = frozenset()
    """The names of the replicas with parked changes."""

    def to_copy(self, *, without: Collection[str] = ()) -> Cohort | None:
        """Return a cohort with rows to copy; None if there is none. Replicas in `without` are left out.

        Replicas that wait after a failure are left out, and so are replicas tied to those by foreign keys: their rows
        could refer to rows that the failed replica lacks.
        """
        # Replicas that were never copied stay in, even if tied: the failed replica may be waiting for their rows.
        waiting = {*without, *self._waiting()}
        never_copied = {state.name for state in self.states if not state.applied}
        cohorts = self._by_cursor(waiting | (relations.tied(waiting, self.declared) - never_copied), copied=False)
        return cohorts[0] if cohorts else None

    def cohorts(self, *, without: Collection[str] = ()) -> list[Cohort]:
        """Return the cohorts that follow, the largest cohort first. Replicas in `without` are left out.

        Replicas that wait after a failure are left out, and so are replicas tied by foreign keys to a replica that is
        copied again. A replica tied to a waiting replica goes on until it needs a row that the waiting replica lacks.
        """
        return self._by_cursor(
            {*without, *self._waiting(), *relations.tied(self._copied_again(), self.declared)}, copied=True
        )

    def to_join(self, copied: Collection[str]) -> list[Cohort]:
        """Return the cohorts that freshly `copied` replicas may join.

        Cohorts with replicas tied to a waiting replica are left out: one of their rows may fail for a missing row.
        """
        stuck = self._waiting() | (self._copied_again() - {*copied})
        return self._by_cursor(relations.tied(stuck, self.declared), copied=True)

    def next_attempt(self) -> float | None:
        """Return the seconds until the next attempt of a failed replica; None if no replica waits."""
        times = [state.next_attempt for state in self.states if state.next_attempt]
        return max(0.0, (min(times) - self.now).total_seconds()) if times else None

    def is_quiet(self, seconds: float) -> bool:
        """Return True if no page was applied for `seconds`, or if the replicas are at several cursors."""
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
                # A replica with parked changes skips some, so it cannot share a transaction with others.
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
        # The largest cohort leads: the fewest replicas then have to catch up.
        return sorted(cohorts, key=lambda cohort: -len(cohort.members))


def snapshot(service: str, using: str, now: datetime) -> Snapshot:
    """Return the positions of a service's replicas at the moment `now`."""
    parked = Parked.objects.using(using).filter(replica=OuterRef("name"))
    states = tuple(_states(service, using).annotate(apart=Exists(parked)))
    apart = frozenset(state.name for state in states if state.apart)
    return Snapshot(service=service, now=now, states=states, declared=tuple(of_service(service)), apart=apart)


def following(service: str, using: str, now: datetime, *, without: Collection[str] = ()) -> list[Cohort]:
    """Return the cohorts of a service that follow, the largest cohort first."""
    return snapshot(service, using, now).cohorts(without=without)


def is_current(cohort: Cohort, locked: Mapping[str, Position], *, follows: bool = True) -> bool:
    """Return True if all members are still at the cohort's cursor, and still follow.

    Without `follows`, the members must be waiting for a copy instead.
    """
    # Only locked positions can tell: until the lock was taken, another process may have applied the same page.
    current = [locked.get(effect.name) for effect in cohort.members]
    return all(position and (position.cursor, position.follows) == (cohort.cursor, follows) for position in current)


def _states(service: str, using: str) -> QuerySet[ReplicaState]:
    return ReplicaState.objects.using(using).filter(service=service).order_by("name")
