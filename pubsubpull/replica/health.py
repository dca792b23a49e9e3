"""The health of replicas: the reason for each replica that does not follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Count

from pubsubpull.replica import cohorts
from pubsubpull.replica.models import Parked, ReplicaState

if TYPE_CHECKING:
    from collections.abc import Collection

OK = "ok"
"""The state of a healthy replica."""


def checks(using: str, *, values: bool = True) -> dict[str, str]:
    """Return `ok` or the reason of a failure for each declared replica, by `replica <name>`.

    Without `values`, the error text of the database is left out, since it may quote a row.
    """
    names = {effect.name for effect in cohorts.all_effects()}
    if not names:
        return {}
    return {f"replica {name}": reason for name, reason in _of(names, using, values=values).items()}


def waiting(services: Collection[str], using: str) -> dict[str, str]:
    """Return the reason for each replica of the services that has not applied all changes, by name."""
    names = {effect.name for service in services for effect in cohorts.of_service(service)}
    kept = {state.name: state for state in ReplicaState.objects.using(using).filter(name__in=names)}
    return {
        name: reason
        for name, reason in _of(names, using).items()
        # Absent columns alone are no reason: the replica has applied all that was sent, and `unsent` reports them.
        if reason != OK and not (kept.get(name) and kept[name].absent and not kept[name].failing_since)
    }


def unsent(services: Collection[str], using: str) -> dict[str, list[str]]:
    """Return the replicated columns that the source does not send, by replica."""
    names = {effect.name for service in services for effect in cohorts.of_service(service)}
    states = ReplicaState.objects.using(using).filter(name__in=names).exclude(absent=[])
    return {state.name: sorted(state.absent) for state in states}


def parked(services: Collection[str], using: str) -> dict[str, int]:
    """Return the number of parked changes, by replica."""
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
