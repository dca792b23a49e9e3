"""Whether the replicas follow: each one that does not, and why."""

from __future__ import annotations

from pubsubpull.replica import place
from pubsubpull.replica.models import ReplicaState

OK = "ok"


def checks(using: str) -> dict[str, str]:
    """Return each declared replica with `ok` or the reason why it fails; nothing where none is declared."""
    names = {follows.name for service in place.services() for follows in place.of_service(service)}
    if not names:
        return {}
    states = {state.name: state for state in ReplicaState.objects.using(using).filter(name__in=names)}
    return {f"replica {name}": _state(states.get(name)) for name in sorted(names)}


def _state(state: ReplicaState | None) -> str:
    if state is None:
        return "it has never been followed; run pubsubpull_follow"
    if state.failing_since:
        return f"failing since {state.failing_since:%Y-%m-%d %H:%M:%S} UTC: {state.last_error}"
    if state.absent:
        return f"{state.source} does not send {', '.join(state.absent)}; migrate the source, or declare the fields anew"
    return OK
