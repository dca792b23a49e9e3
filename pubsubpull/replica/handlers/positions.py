"""The positions of the handlers of the own log: where each is, and the lock that lets one process move it."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING

from pubsubpull.capture import clock
from pubsubpull.log import feed
from pubsubpull.replica import cohorts, positions
from pubsubpull.replica.handlers.declare import LOCAL
from pubsubpull.replica.models import Parked, ReplicaState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pubsubpull.replica.cohorts import Cohort
    from pubsubpull.replica.effects import Effect

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """A handler, and where it is."""

    effect: Effect
    """The handler."""
    cursor: str
    """The cursor after the last page that it handled."""


def enter(using: str) -> None:
    """Give each handler of the own log a position, if it has none yet."""
    effects = {effect.name: effect for effect in cohorts.of_service(LOCAL)}
    states = {state.name: state for state in ReplicaState.objects.using(using).filter(name__in=effects)}
    for name, effect in effects.items():
        state = states.get(name)
        if state is None or state.service != LOCAL:
            _begin(effect, using)
        elif state.source != effect.source:
            ReplicaState.objects.using(using).filter(name=name).update(source=effect.source)


def _begin(effect: Effect, using: str) -> None:
    now = feed.present(using)
    begun = {
        "service": LOCAL,
        "source": effect.source,
        "state": ReplicaState.State.FOLLOWING,
        "shape": effect.shape,
        "cursor": (now.start() if effect.from_start else now.cursor()).encode(),
    }
    states = ReplicaState.objects.using(using)
    # Another process may begin it at the same moment: the first position counts.
    states.bulk_create([ReplicaState(name=effect.name, **begun)], ignore_conflicts=True)
    # A row of this name may exist already, if the handler followed another service until now.
    states.filter(name=effect.name).exclude(service=LOCAL).update(**begun)


def due(using: str, *, without: Collection[str] = ()) -> list[Place]:
    """Return the handlers that may go on now: each but those that wait after a failure."""
    effects = {effect.name: effect for effect in cohorts.of_service(LOCAL) if effect.name not in without}
    states = ReplicaState.objects.using(using).filter(service=LOCAL, name__in=effects).order_by("name")
    # By the database's clock, by which the attempts were put off: the machines' clocks may differ.
    now = clock.moment(using)
    return [
        Place(effect=effects[state.name], cursor=state.cursor)
        for state in states
        if state.next_attempt is None or state.next_attempt <= now
    ]


def take(place: Place, using: str) -> Cohort | None:
    """Lock a handler's position until the transaction ends; None if another process has it, or has moved it on."""
    states = ReplicaState.objects.using(using).filter(name=place.effect.name, cursor=place.cursor)
    # Locked ones are skipped: the process that has the lock handles the page, and this one turns to other handlers.
    if not states.select_for_update(skip_locked=True).exists():
        return None
    # Read behind the lock: a person may have set a change aside until then.
    apart = Parked.objects.using(using).filter(replica=place.effect.name).exists()
    return cohorts.Cohort(service=LOCAL, cursor=place.cursor, members=(place.effect,), apart=apart)


def begin_anew(places: Iterable[Place], using: str, *, why: str) -> None:
    """Let handlers go on from now: the log no longer holds what they have yet to see. A warning says so."""
    cursor = feed.present(using).cursor().encode()
    for place in places:
        # Taken first: another process may have moved it on from the expired cursor.
        if take(place, using):
            positions.move([place.effect], cursor, using=using)
            logger.warning(
                "Handler %s: %s It goes on from now, and is not called for what lies between.", place.effect.name, why
            )
