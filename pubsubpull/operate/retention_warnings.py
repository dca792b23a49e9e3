"""Subscriptions that lose changes to retention: found, marked, and told by a signal."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.db.models import F

from pubsubpull import exceptions
from pubsubpull.delivery import signals
from pubsubpull.log.cursor import Cursor
from pubsubpull.subscriptions.models import Subscription

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.dispatch import Signal

LAPSING = "Changes that it has not had are dropped soon, as they come to the age of RETENTION."
LAPSED = (
    "Changes that it had not had were dropped, as they were older than RETENTION. "
    "PUT it with instances: true, to be sent all rows anew; or read them, and PUT it with their cursor in after."
)

logger = logging.getLogger("pubsubpull")


def cursors(using: str) -> Iterator[tuple[Subscription, Cursor]]:
    """Go through the subscriptions that have not lapsed, with the cursor of each."""
    for one in Subscription.objects.using(using).exclude(state=Subscription.State.LAPSED):
        try:
            yield one, Cursor.decode(one.cursor)
        except exceptions.CursorInvalid:  # the worker that claims it disables it
            continue


def mark(one: Subscription, using: str) -> bool:
    """Mark one as lapsed, and take it from its worker; say whether it was as it had been read."""
    lapsed = Subscription.State.LAPSED
    there = Subscription.objects.using(using).filter(pk=one.pk, cursor=one.cursor).exclude(state=lapsed)
    # Only if its cursor is still the one that was looked at: it may have gone on meanwhile.
    if not there.update(state=lapsed, last_error=LAPSED, next_attempt=None, worker=None, lease=F("lease") + 1):
        return False
    one.refresh_from_db(using=using)
    logger.error("pubsubpull: subscription %s has lapsed: %s", one, LAPSED)
    send(signals.subscription_lapsed, one, LAPSED)
    return True


def warn(one: Subscription) -> None:
    """Warn that a subscription has not had changes that are dropped soon."""
    logger.warning("pubsubpull: subscription %s is lapsing: %s", one, LAPSING)
    send(signals.subscription_lapsing, one, LAPSING)


def send(signal: Signal, one: Subscription, error: str) -> None:
    """Send a signal; a receiver that fails is logged, and fails nothing."""
    for receiver, result in signal.send_robust(sender=Subscription, subscription=one, error=error):
        if isinstance(result, Exception):
            logger.error("pubsubpull: the receiver %r of a signal failed", receiver, exc_info=result)
