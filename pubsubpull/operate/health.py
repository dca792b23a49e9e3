"""Health of the log and of delivery: partitions ahead, retention, workers, and the lag of subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pubsubpull.capture import clock, sql
from pubsubpull.log import feed, partitions
from pubsubpull.operate import labels
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import lag
from pubsubpull.subscriptions.models import SERVED, Subscription

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pubsubpull.conf import Settings
    from pubsubpull.log.present import Present

OK = "ok"
DAY = 86_400.0
FREE_PART = 0.1
"""The part of a partition that must still be free ahead of the newest id."""
OVERDUE = 1.5
"""The age of the oldest change, as a multiple of RETENTION, that is a fault: changes are trimmed at 1.25 times."""


def checks(settings: Settings) -> dict[str, str]:
    """Return each check with `ok` or the reason why it fails."""
    present = feed.present(settings.DATABASE)
    return {
        "partitions": _partitions(present, settings),
        "retention": _retention(present, settings),
        "delivery": _delivery(settings.DATABASE),
        "lag": _lag(present, settings),
        "labels": _labels(settings.DATABASE),
    }


def _partitions(present: Present, settings: Settings) -> str:
    using = settings.DATABASE
    existing = partitions.read(present, using)
    ahead = partitions.end(existing) - 1 - present.reached
    # First: once the default partition has changes, it has to be adopted before others can be made.
    if partitions.overflowed(existing):
        return f"changes go into the default partition; {_maintain(partitions.ADOPTING, using)}"
    if ahead < settings.PARTITION_SIZE * FREE_PART:
        return f"only {max(ahead, 0)} versions are ahead; {_maintain(partitions.MAKING, using)}"
    return OK


def _retention(present: Present, settings: Settings) -> str:
    oldest = partitions.oldest(present, settings.DATABASE) if settings.RETENTION else None
    age = 0.0 if oldest is None else clock.now(settings.DATABASE) - oldest
    if age > settings.RETENTION * OVERDUE:
        advice = _maintain(partitions.DROPPING, settings.DATABASE)
        return f"the oldest change is {age / DAY:.1f} days old, RETENTION is {settings.RETENTION / DAY:.1f}; {advice}"
    return OK


def _maintain(functions: Sequence[str], using: str) -> str:
    """Return the command to run, with the role that may run it if the present role may not."""
    rights = partitions.rights(using)
    return f"run pubsubpull_maintain{'' if rights.allow(functions) else f' as {rights.owner}'}"


def _delivery(using: str) -> str:
    ((workers, subscriptions),) = sql.run(using, sql.compose("queries/delivery/standing", served=sorted(SERVED)))
    if subscriptions and not workers:
        return f"no worker is alive for {subscriptions} subscriptions; run pubsubpull_deliver"
    return OK


def _labels(using: str) -> str:
    """Return the check of the labels that subscriptions ask for: a published model or a declared event has each."""
    published = {*consumers.known_labels()}
    missing = sorted({label for _, wanted in labels.subscribed(using) for label in wanted} - published)
    if missing:
        return f"subscriptions name {', '.join(missing)}, which no model and no event is called; run pubsubpull_rename"
    return OK


def _lag(present: Present, settings: Settings) -> str:
    """Return the lag of active subscriptions. Only those count: a receiver that refuses is not this service's fault."""
    active = Subscription.objects.using(settings.DATABASE).filter(state=Subscription.State.ACTIVE)
    reached = {lag.reached(subscription, present) for subscription in active}
    oldest = max(lag.waits(reached, present, settings.DATABASE).values(), default=0.0)
    if oldest > settings.HEALTH_LAG:
        return f"an active subscription is {oldest:.0f} seconds behind"
    return OK
