"""Django signals for operators: a subscription began to fail, recovered, or ended; a change was set aside.

The worker sends a signal after the commit of its event, in a thread with its own database connection. A crash of the
worker may lose a signal; the database holds the truth. `sender` is the model `Subscription`. Receivers get
`subscription`, as stored, and `error`, a text that may be shown. An exception of a receiver is logged, and delivery
does not wait for receivers.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from django import dispatch
from django.db import close_old_connections

from pubsubpull.subscriptions.models import Subscription

if TYPE_CHECKING:
    import uuid

    from pubsubpull.base import threads

State = Subscription.State

subscription_failing = dispatch.Signal()
"""The first failure after a success; `error` is its text. An open circuit of the host counts as a failure."""
subscription_recovered = dispatch.Signal()
"""The first success after failures."""
subscription_disabled = dispatch.Signal()
"""Delivery ended until the subscription is PUT again or enabled; its state tells if the receiver unsubscribed."""
change_set_aside = dispatch.Signal()
"""A change became a dead letter; receivers also get its `version` and `model`."""
subscription_lapsing = dispatch.Signal()
"""Retention will soon drop changes that the subscription has not had. Sent by maintenance."""
subscription_lapsed = dispatch.Signal()
"""Retention dropped changes that the subscription has not had: it must start over. Sent by maintenance."""

logger = logging.getLogger("pubsubpull")


def event(before: str, after: str) -> dispatch.Signal | None:
    """Return the signal for a change of the recorded state; None for changes without a signal."""
    if before == after:
        return None
    if after == State.FAILING:
        return subscription_failing
    if after == State.ACTIVE:
        return subscription_recovered if before == State.FAILING else None
    return subscription_disabled if after in {State.DISABLED, State.UNSUBSCRIBED} else None


class Signals:
    """Sends a worker's signals one by one, in the background."""

    def __init__(self, *, using: str, thread: threads.Database) -> None:
        self.using = using
        self._thread = thread
        self._waiting: set[asyncio.Task[None]] = set()

    def recorded(self, id_: uuid.UUID, before: str, after: str, *, error: str) -> None:
        """Send the signal for a change of the subscription's recorded state, if there is one."""
        signal = event(before, after)
        if signal is not None:
            self.send(signal, id_, error=error)

    def send(self, signal: dispatch.Signal, id_: uuid.UUID, **arguments: object) -> None:
        """Send a signal soon."""
        if signal.has_listeners(Subscription):
            task = asyncio.create_task(self._thread(self._send, signal, id_, arguments))
            # Kept until it is done: asyncio itself holds tasks only weakly.
            self._waiting.add(task)
            task.add_done_callback(self._sent)

    async def flush(self, limit: float) -> None:
        """Wait until all signals are sent, at most `limit` seconds."""
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=limit)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._waiting.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("pubsubpull: a signal was not sent: %s", error)

    def _send(self, signal: dispatch.Signal, id_: uuid.UUID, arguments: dict[str, object]) -> None:
        # Read here, after the commit: receivers see the state that the signal is about, or a later one.
        subscription = Subscription.objects.using(self.using).filter(pk=id_).select_related("consumer").first()
        try:
            if subscription is not None:
                signal.send_robust(Subscription, subscription=subscription, **arguments)
        finally:
            close_old_connections()  # a receiver may have used any database
