"""Subscriptions that lose changes to retention: they are marked, logged, and reported by a signal."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.db.models import F

from pubsubpull import exceptions
from pubsubpull.delivery import signals
from pubsubpull.log.cursor import Cursor
from pubsubpull.subscriptions.models import Subscription

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.dispatch import Signal

LAPSING = "Changes that it has not been sent are dropped soon, as they reach the age of RETENTION."
LAPSED = (
    "Changes that it had not been sent were dropped, as they were older than RETENTION. "
    "PUT it with instances: true, to be sent all rows anew; or read them, and PUT it with their cursor in after."
)

logger = logging.getLogger("pubsubpull")


def cursors(using: str) -> Iterator[tuple[Subscription, Cursor]]:
    """Yield the subscriptions that have not lapsed, each with its cursor."""
    for subscription in Subscription.objects.using(using).exclude(state=Subscription.State.LAPSED):
        try:
            yield subscription, Cursor.decode(subscription.cursor)
        # The worker that claims it disables it, and says why.
        except exceptions.CursorInvalid:
            continue


def mark(subscription: Subscription, using: str) -> bool:
    """Mark a subscription as lapsed, and take it from its worker; False if it has gone on meanwhile."""
    lapsed = Subscription.State.LAPSED
    # The cursor is compared in the same statement: the worker may have moved it since it was read.
    same = Subscription.objects.using(using).filter(pk=subscription.pk, cursor=subscription.cursor)
    fields: dict[str, Any] = {"state": lapsed, "last_error": LAPSED, "next_attempt": None, "worker": None}
    if not same.exclude(state=lapsed).update(**fields, lease=F("lease") + 1):
        return False
    subscription.refresh_from_db(using=using)
    logger.error("pubsubpull: subscription %s has lapsed: %s", subscription, LAPSED)
    send(signals.subscription_lapsed, subscription, LAPSED)
    return True


def warn(subscription: Subscription) -> None:
    """Warn that changes which a subscription has not been sent are dropped soon."""
    logger.warning("pubsubpull: subscription %s is lapsing: %s", subscription, LAPSING)
    send(signals.subscription_lapsing, subscription, LAPSING)


def send(signal: Signal, subscription: Subscription, error: str) -> None:
    """Send a signal. An exception of a receiver is logged."""
    # Robust: a receiver of the project's must not end the maintenance pass.
    for receiver, result in signal.send_robust(sender=Subscription, subscription=subscription, error=error):
        if isinstance(result, Exception):
            logger.error("pubsubpull: the receiver %r of a signal failed", receiver, exc_info=result)
