"""The API's description of a subscription: its options and its state."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from pubsubpull import conf
from pubsubpull.base import times
from pubsubpull.capture import clock
from pubsubpull.subscriptions import spec

if TYPE_CHECKING:
    from pubsubpull.subscriptions import lag, models


class Lag(BaseModel):
    """The most changes that may lie between the cursor and the present, and the age of the first of them."""

    changes: int
    seconds: float


class Subscription(spec.DescribedOptions):
    """A subscription and its state. `secret` is only in the answer to the call that created it.

    `instances` is true while rows are still to be sent before the changes.
    """

    name: str
    allowed_rate: int | None
    state: Literal["unverified", "active", "paused", "failing", "disabled", "unsubscribed", "lapsed"]
    instances: bool
    old_secret_until: dt.datetime | None
    cursor: str
    lag: Lag
    failures: int
    delivered: int
    last_delivered: dt.datetime | None
    attempts: int
    failing_since: dt.datetime | None
    next_attempt: dt.datetime | None
    last_error: str | None
    created: dt.datetime
    secret: str | None = None


def of(subscription: models.Subscription, *, lag: lag.Lag, failures: int) -> dict[str, Any]:
    """Return the description of a subscription as JSON values, never with the secret."""
    return {
        "name": subscription.name,
        **spec.Options.of(subscription).describe(),
        "allowed_rate": subscription.allowed_rate,
        "old_secret_until": _end_of_old(subscription),
        "state": subscription.state,
        "instances": bool(subscription.backfill),
        "cursor": subscription.cursor,
        "lag": {"changes": lag.changes, "seconds": round(lag.seconds, 3)},
        "failures": failures,
        "delivered": subscription.delivered,
        "last_delivered": times.text(subscription.last_delivered),
        "attempts": subscription.attempts,
        "failing_since": times.text(subscription.failing_since),
        "next_attempt": times.text(subscription.next_attempt),
        "last_error": subscription.last_error or None,
        "created": times.text(subscription.created),
    }


def _end_of_old(subscription: models.Subscription) -> str | None:
    now = clock.now(conf.get().DATABASE)
    # Without decryption: the ends are stored in the clear, and a description must not need the keys.
    older = subscription.secrets[1:]
    ends = [sealed["until"] for sealed in older if sealed["until"] and sealed["until"] > now]
    return times.text(dt.datetime.fromtimestamp(ends[0], dt.UTC)) if ends else None
