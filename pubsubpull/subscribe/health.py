"""Whether changes are kept and delivered: partitions ahead, workers alive, and nobody far behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pubsubpull.capture import feed, partitions, sql
from pubsubpull.subscribe import metrics
from pubsubpull.subscribe.models import Subscription

if TYPE_CHECKING:
    from pubsubpull.capture.feed import Present
    from pubsubpull.conf import Settings

OK = "ok"
AHEAD = 0.1
"""The part of a partition that must be ahead of what is written."""


def checks(settings: Settings) -> dict[str, str]:
    """Return each check with `ok` or the reason why it fails."""
    present = feed.present(settings.DATABASE)
    return {
        "partitions": _partitions(present, settings),
        "delivery": _delivery(settings.DATABASE),
        "lag": _lag(present, settings),
    }


def _partitions(present: Present, settings: Settings) -> str:
    there = partitions.read(present, settings.DATABASE)
    ahead = partitions.end(there) - 1 - present.seq
    if partitions.overflowed(there):
        return "changes go into the default partition; run pubsubpull_maintain"
    if ahead < settings.PARTITION_SIZE * AHEAD:
        return f"only {max(ahead, 0)} versions are ahead; run pubsubpull_maintain"
    return OK


def _delivery(using: str) -> str:
    ((workers, subscriptions),) = sql.run(using, sql.template("queries/subscribe/standing"))
    if subscriptions and not workers:
        return f"no worker is alive for {subscriptions} subscriptions; run pubsubpull_deliver"
    return OK


def _lag(present: Present, settings: Settings) -> str:
    """Look at those whose receivers take what they are sent: that one does not is not this service's fault."""
    active = Subscription.objects.using(settings.DATABASE).filter(state=Subscription.State.ACTIVE)
    seen = {metrics.behind(one, present) for one in active}
    oldest = max(metrics.lags({one for one in seen if one < present.seq}, settings.DATABASE).values(), default=0.0)
    if oldest > settings.HEALTH_LAG:
        return f"an active subscription is {oldest:.0f} seconds behind"
    return OK
