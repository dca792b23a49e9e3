"""Django signals for operators: a subscription began to fail, recovered, or ended; a change was set aside.

They are sent by the worker, in a thread with a database connection of its own, once what they tell of is committed. A
crash of the worker may lose one; what is in the database is the truth. `sender` is the model `Subscription`; receivers
are given `subscription`, as it is in the database, and `error`, a text that may be shown. What a receiver raises is
logged, and nothing waits for it.
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
"""The first failure after a success; `error` is what went wrong. One whose host is given up fails too."""
subscription_recovered = dispatch.Signal()
"""Delivery goes on after failures."""
subscription_disabled = dispatch.Signal()
"""Nothing is sent any more, until it is PUT again or enabled; its state says whether its receiver unsubscribed."""
change_set_aside = dispatch.Signal()
"""A change was set aside; receivers are also given its `version` and `model`."""
subscription_lapsing = dispatch.Signal()
"""Changes that it has not had are to be dropped soon. Sent by maintenance, as the next."""
subscription_lapsed = dispatch.Signal()
"""Changes that it has not had are gone: it must begin anew, from all instances."""

logger = logging.getLogger("pubsubpull")


def event(before: str, after: str) -> dispatch.Signal | None:
    """Return the signal of a change from one recorded state to the next, None where there is none."""
    if before == after:
        return None
    if after == State.FAILING:
        return subscription_failing
    if after == State.ACTIVE:
        return subscription_recovered if before == State.FAILING else None
    return subscription_disabled if after in {State.DISABLED, State.UNSUBSCRIBED} else None


class Signals:
    """Sends signals from a worker, one after the other, beside all else."""

    def __init__(self, *, using: str, thread: threads.Database) -> None:
        self.using = using
        self._thread = thread
        self._waiting: set[asyncio.Task[None]] = set()

    def recorded(self, id_: uuid.UUID, before: str, after: str, *, error: str) -> None:
        """Send the signal of a subscription's change from one recorded state to the next."""
        signal = event(before, after)
        if signal is not None:
            self.send(signal, id_, error=error)

    def send(self, signal: dispatch.Signal, id_: uuid.UUID, **given: object) -> None:
        """Have a signal sent soon."""
        if signal.has_listeners(Subscription):
            task = asyncio.create_task(self._thread(self._send, signal, id_, given))
            self._waiting.add(task)
            task.add_done_callback(self._sent)

    async def flush(self, limit: float) -> None:
        """Wait until all are sent, at most so many seconds."""
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=limit)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._waiting.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("pubsubpull: a signal was not sent: %s", error)

    def _send(self, signal: dispatch.Signal, id_: uuid.UUID, given: dict[str, object]) -> None:
        found = Subscription.objects.using(self.using).filter(pk=id_).select_related("consumer").first()
        try:
            if found is not None:
                signal.send_robust(Subscription, subscription=found, **given)
        finally:
            close_old_connections()  # a receiver may have used any database
