"""Whether the replicas follow: each one that does not, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Count

from pubsubpull.replica import cohorts
from pubsubpull.replica.models import Parked, ReplicaState

if TYPE_CHECKING:
    from collections.abc import Collection

OK = "ok"


def checks(using: str, *, values: bool = True) -> dict[str, str]:
    """Return each declared replica with `ok` or the reason why it fails; nothing where none is declared.

    Without `values`, what the database said, which may quote a row, is left out.
    """
    names = {effect.name for effect in cohorts.all_effects()}
    if not names:
        return {}
    return {f"replica {name}": reason for name, reason in _of(names, using, values=values).items()}


def waiting(services: Collection[str], using: str) -> dict[str, str]:
    """Return the replicas of services that lack some of what their sources sent, and why."""
    names = {effect.name for service in services for effect in cohorts.of_service(service)}
    kept = {state.name: state for state in ReplicaState.objects.using(using).filter(name__in=names)}
    return {
        name: reason
        for name, reason in _of(names, using).items()
        if reason != OK and not (kept.get(name) and kept[name].absent and not kept[name].failing_since)
    }


def unsent(services: Collection[str], using: str) -> dict[str, list[str]]:
    """Return the columns that replicas take over and their sources do not send, by replica."""
    names = {effect.name for service in services for effect in cohorts.of_service(service)}
    states = ReplicaState.objects.using(using).filter(name__in=names).exclude(absent=[])
    return {state.name: sorted(state.absent) for state in states}


def parked(services: Collection[str], using: str) -> dict[str, int]:
    """Return how many changes are set aside, by replica."""
    names = [effect.name for service in services for effect in cohorts.of_service(service)]
    return _parked(names, using)


def _of(names: Collection[str], using: str, *, values: bool = True) -> dict[str, str]:
    states = {state.name: state for state in ReplicaState.objects.using(using).filter(name__in=names)}
    aside = _parked(names, using)
    return {name: _state(states.get(name), aside.get(name, 0), values=values) for name in sorted(names)}


def _parked(names: Collection[str], using: str) -> dict[str, int]:
    parked = Parked.objects.using(using).filter(replica__in=names, done=False)
    return dict(parked.values_list("replica").annotate(count=Count("id")).order_by("replica"))


def _state(state: ReplicaState | None, aside: int, *, values: bool) -> str:
    if state is None:
        return "it has never been followed; run pubsubpull_work"
    if state.failing_since:
        since = f"failing since {state.failing_since:%Y-%m-%d %H:%M:%S} UTC"
        return f"{since}: {state.last_error}" if values else since
    if state.absent:
        return f"{state.source} does not send {', '.join(state.absent)}; migrate the source, or declare the fields anew"
    if aside:
        return f"{aside} changes are set aside; see pubsubpull_replicas parked {state.name}"
    if not state.shape:
        return "its rows have not been copied yet"
    return OK
