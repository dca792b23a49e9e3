"""Delivers the notifications of each subscription one by one, each until the receiver has taken it."""

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
    from pubsubpull.delivery.gate import Gate
    from pubsubpull.delivery.lease import Lease
    from pubsubpull.delivery.meter import Meter
    from pubsubpull.delivery.notification import Notification, Redelivery
    from pubsubpull.delivery.transitions import Progress
    from pubsubpull.log.cursor import Cursor
    from pubsubpull.transports.base import Transport
    from pubsubpull.wire.items import Row

logger = logging.getLogger("pubsubpull")
State = Subscription.State
T = TypeVar("T", bound=Outcome | Ready)
BACKFILL_RETRY = 1.0
"""How long a backfill waits while the database is away, in seconds."""


class Sender:
    """Delivers under the leases of a worker, each in its own task."""

    def __init__(
        self,
        *,
        transport: Transport,
        gate: Gate,
        breaker: Breaker,
        progress: Progress,
        meter: Meter,
        dead_letters: dead_letters.DeadLetters,
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
        """How many changes the worker has delivered."""
        self._reads = reads

    def start(self, lease: Lease) -> None:
        """Start delivering under the lease, unless its task is running."""
        # Never while stopping: the drain waits only for the tasks that exist when it begins.
        if lease.task is None and not self.gate.stopping.is_set():
            lease.task = asyncio.create_task(self._run(lease), name=f"deliver {lease}")

    async def _run(self, lease: Lease) -> None:
        try:
            # The earlier lease may still be sending: the receiver must not get two notifications at a time.
            if lease.before is not None:
                await asyncio.wait([lease.before])
                lease.before = None
            if lease.checkpoint.unverified and not await self._ask(lease):
                return
            while not self.gate.is_over(lease) and await self._deliver(lease):
                pass
        except Exception:
            # Caught here, since an error in one task would end the worker; it counts as a failed attempt.
            logger.exception("pubsubpull: delivery to subscription %s broke off; it is tried again", lease)
            self.progress.failed(lease, Retry(error="The worker met an unexpected error; see its log."))
        finally:
            lease.task = None
            # Soon, not now: this task must be over before the lease's next one starts.
            if lease.waits:
                asyncio.get_running_loop().call_soon(self._again, lease)

    def _again(self, lease: Lease) -> None:
        if not self.gate.is_over(lease):
            self.start(lease)

    async def _deliver(self, lease: Lease) -> bool:
        """Deliver a redelivery or the next notification; return False if the task is to end."""
        redelivery = next(iter(lease.redeliveries.values()), None)
        return await (self._deliver_again(lease, redelivery) if redelivery else self._deliver_next(lease))

    async def _deliver_next(self, lease: Lease) -> bool:
        """Send the next notification and act on its outcome: from the lease to the moved cursor."""
        # The page first: once the gate opens, it may have given out the endpoint's probe, which must be used.
        page = await self._next(lease)
        if page is None or not await self.gate.opens(lease):
            return False
        result = await self._offer(lease, page)
        # Asked after the send: a lost lease may record nothing, and its successor sends the page again.
        if result is not None and not lease.dropped:
            await self._settle(lease, page, result)
        return not lease.dropped

    async def _deliver_again(self, lease: Lease, redelivery: Redelivery) -> bool:
        """Send a dead letter again, and act on its outcome. No cursor moves."""
        if not await self.gate.opens(lease):
            return False
        result = await self._offer(lease, dead_letters.alone(lease, redelivery))
        if result is not None and not lease.dropped:
            await self._settle_alone(lease, redelivery, result)
        return not lease.dropped

    async def _offer(self, lease: Lease, page: Notification) -> Outcome | None:
        """Send a page, whole or change by change; return None if that was broken off."""
        # Before the send: a failed attempt uses up the rate, too.
        self.progress.pace(lease, page.count)
        return await (self._send_per_key(lease, page) if lease.terms.one_by_one else self._send(lease, page))

    async def _next(self, lease: Lease) -> Notification | None:
        """Return the next notification: of the backfill first, then of the changes."""
        if lease.checkpoint.backfill is not None and lease.current is None:
            try:
                lease.send(await self.backfill.next_page(lease))
            except exceptions.Unreadable as error:
                self.progress.failed(lease, Retry(error=str(error)))
                await self.gate.wait(lease, (lease.due_at or 0.0) - self.progress.now())
                return None
            except DatabaseError as error:
                logger.warning("pubsubpull: the database is away (%s); the backfill waits", threads.first_line(error))
                await self.gate.wait(lease, BACKFILL_RETRY)
                return None
            if lease.current is None:
                self.progress.backfilled(lease)
        return lease.next()

    async def _send_per_key(self, lease: Lease, page: Notification) -> Outcome | None:
        """Send the changes of a page as single messages; return None if that was broken off."""

        async def send(row: Row) -> Outcome:
            change = ChangeRef(model=row.model, key=per_key.key(row), version=per_key.version(row))
            return await self._send(lease, notification.of_one(row, page, style=lease.terms.style), change)

        page_per_key = per_key.PerKey(
            send=send,
            width=lease.terms.concurrency,
            over=lambda: self.gate.is_shut(lease),
            done=lease.accepted,
            alone=page.edges,
        )
        return await page_per_key.run(page.rows)

    async def _send(self, lease: Lease, page: Notification, change: ChangeRef | None = None) -> Outcome:
        return await self._exchange(lease, self.transport.send(lease.terms.target, page.message(change)))

    async def _ask(self, lease: Lease) -> bool:
        """Ask the receiver for its consent until it is given, then return True; return False if the lease is over."""
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
        """Return the outcome of an exchange, and report it to the breaker and the meter."""
        # Before the exchange: a failure does not count if the host has answered another one since.
        began = time.monotonic()
        result = await exchange
        endpoint = self.transport.endpoint(lease.terms.callback)
        # Nothing was sent, so nothing is known of the endpoint: its probe must be free for another lease.
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
        """Act on the outcome of a page."""
        match result:
            case Delivered():
                # The cursor passes these versions now: without this, the set would grow without end.
                lease.accepted.difference_update([row.version for row in page.rows])
                if count := self.progress.delivered(lease, page):
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
        """Search for the refused change and set it aside, if the subscription asks for that."""
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
                # Swallowed: the failure is counted already, and the next attempt comes back here.
                logger.warning("pubsubpull: the database is away (%s); nothing is set aside", threads.first_line(error))

    async def _settle_alone(self, lease: Lease, redelivery: Redelivery, result: Outcome) -> None:
        """Act on the outcome of a redelivery. The subscription's own state stays, unless its receiver is gone."""
        if await self.dead_letters.tried(lease, redelivery, result):
            self.progress.redelivered(lease)
        if isinstance(result, Delivered):
            self.delivered += 1
        elif isinstance(result, Gone):
            self._end(lease, result)

    async def _rewind(self, lease: Lease, cursor: Cursor) -> None:
        """Continue from the cursor that the receiver named."""
        try:
            expiry.check(cursor, await self._reads(feed.present, self.using))
        except exceptions.CursorExpired as expired:
            # A failure, not a rewind: the checkpoint keeps a cursor that delivery can continue from.
            self.progress.failed(lease, Retry(error=f"The receiver named a cursor that cannot be used. {expired}"))
            return
        logger.info("pubsubpull: subscription %s continues from the cursor that its receiver named", lease)
        self.progress.rewound(lease, cursor)

    def _end(self, lease: Lease, result: Gone) -> None:
        """End delivery: the receiver has unsubscribed."""
        self.progress.end(lease, State.UNSUBSCRIBED, f"{result.error} PUT the subscription again to go on.")
