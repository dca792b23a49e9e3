"""Delivers what waits for a subscription: one notification after the other, each until it is accepted."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, TypeVar

from django.db import Error as DatabaseError

from pubsubpull import exceptions
from pubsubpull.base import threads
from pubsubpull.delivery import dead_letters, notification, per_key, transitions
from pubsubpull.delivery.bisect import Step
from pubsubpull.log import expiry, feed
from pubsubpull.subscriptions.models import Subscription
from pubsubpull.transports.base import ChangeRef, Delivered, Gone, Outcome, Ready, Retry, Rewind

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pubsubpull.conf import Settings
    from pubsubpull.delivery.backfill import Backfill
    from pubsubpull.delivery.breaker import Breaker
    from pubsubpull.delivery.dead_letters import DeadLetters
    from pubsubpull.delivery.gate import Gate
    from pubsubpull.delivery.lease import Lease, Redelivery
    from pubsubpull.delivery.meter import Meter
    from pubsubpull.delivery.notification import Notification
    from pubsubpull.delivery.transitions import Progress
    from pubsubpull.log.cursor import Cursor
    from pubsubpull.transports.base import Transport
    from pubsubpull.wire.items import Row

T = TypeVar("T", bound=Outcome | Ready)
State = Subscription.State
AWAY = 1.0
"""How long to wait before rows are read again, where the database is away, in seconds."""

logger = logging.getLogger("pubsubpull")


class Sender:
    """Delivers to the leases of a worker, each in a task of its own."""

    def __init__(
        self,
        *,
        transport: Transport,
        gate: Gate,
        breaker: Breaker,
        progress: Progress,
        meter: Meter,
        dead_letters: DeadLetters,
        backfill: Backfill,
        reads: threads.Database,
        settings: Settings,
    ) -> None:
        self.transport = transport
        self.gate = gate
        self.breaker = breaker
        self.progress = progress
        self.meter = meter
        self.dead_letters = dead_letters
        self.backfill = backfill
        self.using = settings.DATABASE
        self.delivered = 0
        """How many changes this worker has delivered."""
        self._reads = reads

    def start(self, lease: Lease) -> None:
        """Deliver what waits for the lease, unless that is under way."""
        if lease.task is None and not self.gate.stopping.is_set():
            lease.task = asyncio.create_task(self._run(lease), name=f"deliver {lease}")

    async def _run(self, lease: Lease) -> None:
        try:
            # The subscription's earlier lease may have a notification on its way; the receiver gets one at a time.
            if lease.before is not None:
                await asyncio.wait([lease.before])
                lease.before = None
            if lease.checkpoint.unverified and not await self._ask(lease):
                return
            while not self.gate.is_over(lease) and await self._deliver(lease):
                pass
        except Exception:
            # One lease's failure is no other's: it is counted, and tried again.
            logger.exception("pubsubpull: delivery to subscription %s broke off; it is tried again", lease)
            self.progress.failed(lease, Retry(error="The worker met an unexpected error; see its log."))
        finally:
            lease.task = None
            if lease.waits:
                asyncio.get_running_loop().call_soon(self._again, lease)

    def _again(self, lease: Lease) -> None:
        if not self.gate.is_over(lease):
            self.start(lease)

    async def _deliver(self, lease: Lease) -> bool:
        """Send what goes first, and go on from its answer; return False if the task is to end."""
        redelivery = next(iter(lease.redeliveries.values()), None)
        return await (self._deliver_again(lease, redelivery) if redelivery else self._deliver_next(lease))

    async def _deliver_next(self, lease: Lease) -> bool:
        """Send the next notification: from the lease to the moved cursor."""
        page = await self._next(lease)
        if page is None or not await self.gate.opens(lease):
            return False
        result = await self._offer(lease, page)
        if result is not None and not lease.dropped:
            await self._settle(lease, page, result)
        return not lease.dropped

    async def _deliver_again(self, lease: Lease, redelivery: Redelivery) -> bool:
        """Send a dead letter again. It moves no cursor."""
        page = dead_letters.alone(lease, redelivery)
        if not await self.gate.opens(lease):
            return False
        result = await self._offer(lease, page)
        if result is not None and not lease.dropped:
            await self._settle_alone(lease, redelivery, result)
        return not lease.dropped

    async def _offer(self, lease: Lease, page: Notification) -> Outcome | None:
        """Send a page, whole or change by change; None where that was broken off."""
        self.progress.pace(lease, page.count)
        return await (self._spread(lease, page) if lease.terms.one_by_one else self._send(lease, page))

    async def _next(self, lease: Lease) -> Notification | None:
        """Return what to send next: first the rows that were asked for, then the changes."""
        if lease.checkpoint.initial is not None and lease.current is None:
            try:
                lease.send(await self.backfill.next_page(lease))
            except DatabaseError as error:
                logger.warning("pubsubpull: the database is away (%s); rows are read later", threads.first_line(error))
                await self.gate.wait(lease, AWAY)
                return None
            if lease.current is None:
                self.progress.backfilled(lease)
        return lease.next()

    async def _spread(self, lease: Lease, page: Notification) -> Outcome | None:
        """Send the changes of a page one by one, each as a message of its own; None where that was broken off."""

        async def send(row: Row) -> Outcome:
            change = ChangeRef(model=row.model, key=per_key.key(row), version=per_key.version(row))
            return await self._send(lease, notification.of_one(row, page, style=lease.terms.style), change)

        spreading = per_key.Spread(
            send=send,
            width=lease.terms.concurrency,
            over=lambda: self.gate.is_shut(lease),
            done=lease.accepted,
            alone=page.edges,
        )
        return await spreading.run(page.rows)

    async def _send(self, lease: Lease, page: Notification, change: ChangeRef | None = None) -> Outcome:
        return await self._exchange(lease, self.transport.send(lease.terms.target, page.message(change)))

    async def _ask(self, lease: Lease) -> bool:
        """Ask the receiver for its consent, again and again; return True once it has given it."""
        while await self.gate.opens(lease):
            result = await self._exchange(lease, self.transport.prepare(lease.terms.target))
            if lease.dropped:
                return False
            if isinstance(result, Ready):
                self.progress.consented(lease, rate=result.rate)
                return True
            self.progress.failed(lease, result)
        return False

    async def _exchange(self, lease: Lease, exchange: Awaitable[T]) -> T:
        """Return what became of an exchange; tell the breaker how the endpoint fares."""
        began = time.monotonic()
        result = await exchange
        endpoint = self.transport.endpoint(lease.terms.callback)
        if isinstance(result, Retry) and result.unsent:
            await self.breaker.give_back(endpoint)
            return result
        self.meter.exchanged(type(result).__name__.lower(), time.monotonic() - began)
        if isinstance(result, Retry) and result.away:
            await self.breaker.failed(endpoint, began=began, error=result.error)
        else:
            await self.breaker.answered(endpoint)
        return result

    async def _settle(self, lease: Lease, page: Notification, result: Outcome) -> None:
        """Go on from the answer to a page."""
        match result:
            case Delivered():
                lease.accepted.difference_update([row.version for row in page.rows])
                count = self.progress.delivered(lease, page)
                if count:
                    self.meter.delivered(page.rows[0].item, count=count, now=self.progress.now())
                self.delivered += count
            case Rewind(cursor=cursor):
                await self._rewind(lease, cursor)
            case Gone():
                self._end(lease, result)
            case Retry():
                self.progress.failed(lease, result)
                if lease.checkpoint.failing:
                    await self._search(lease, page, result)

    async def _search(self, lease: Lease, page: Notification, result: Retry) -> None:
        """Look for the change that is not taken, and set it aside, where the subscription asks for that."""
        step = self.dead_letters.step(lease, page, result)
        if step is Step.HALVE:
            self.progress.halve(lease)
        elif step is Step.SET_ASIDE:
            try:
                if reason := await self.dead_letters.full(lease):
                    self.progress.end(lease, State.DISABLED, reason)
                    return
                then = transitions.set_aside(lease.checkpoint, page)
                if await self.dead_letters.put(lease, page, result, then=then):
                    self.progress.set_aside(lease, then)
            except DatabaseError as error:
                logger.warning("pubsubpull: the database is away (%s); nothing is set aside", threads.first_line(error))

    async def _settle_alone(self, lease: Lease, redelivery: Redelivery, result: Outcome) -> None:
        """Go on from the answer to a dead letter; the subscription itself fares as before."""
        if await self.dead_letters.tried(lease, redelivery, result):
            self.progress.redelivered(lease)
        if isinstance(result, Delivered):
            self.delivered += 1
        elif isinstance(result, Gone):
            self._end(lease, result)

    async def _rewind(self, lease: Lease, cursor: Cursor) -> None:
        """Go on from the cursor that the receiver named."""
        try:
            expiry.check(cursor, await self._reads(feed.present, self.using))
        except exceptions.CursorExpired as expired:
            error = f"The receiver named a cursor that cannot be used. {expired}"
            self.progress.failed(lease, Retry(error=error))
            return
        logger.info("pubsubpull: subscription %s goes on from the cursor that its receiver named", lease)
        self.progress.rewound(lease, cursor)

    def _end(self, lease: Lease, result: Gone) -> None:
        """Send nothing more: the receiver wants no more."""
        self.progress.end(lease, State.UNSUBSCRIBED, f"{result.error} PUT the subscription again to go on.")
