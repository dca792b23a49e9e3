"""Delivers what waits for a subscription: one notification after the other, each until it is accepted."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, TypeVar

from django.db import Error as DatabaseError

from pubsubpull import exceptions
from pubsubpull.base import threads
from pubsubpull.delivery import dead_letters, notification, per_key, rate_limit
from pubsubpull.delivery.bisect import Step
from pubsubpull.delivery.gate import Turn
from pubsubpull.log import feed
from pubsubpull.subscriptions.models import Subscription
from pubsubpull.transports.base import ChangeRef, Delivered, Gone, Outcome, Ready, Retry, Rewind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pubsubpull.delivery.breaker import Breaker
    from pubsubpull.delivery.lease import Held
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


class Delivery:
    """What all deliveries of a worker share.

    `alive` gives an event that is set while the
    worker's leases are sure to be its own; `present` reads the log's present, `rows` the next page of the rows that
    come before all changes.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        breaker: Breaker,
        progress: Progress,
        meter: Meter,
        aside: dead_letters.Aside,
        alive: Callable[[], asyncio.Event],
        present: Callable[[], Awaitable[feed.Present]],
        rows: Callable[[Held], Awaitable[Notification | None]],
    ) -> None:
        self.transport = transport
        self.breaker = breaker
        self.progress = progress
        self.meter = meter
        self.aside = aside
        self.alive = alive
        self.present = present
        self.rows = rows
        self.turn = Turn(breaker=breaker, progress=progress, alive=alive, endpoint=transport.endpoint)
        self.delivered = 0

    def start(self, held: Held) -> None:
        """Deliver what waits for the subscription, unless that is under way."""
        if held.task is None and not self.turn.stopping.is_set():
            held.task = asyncio.create_task(self._run(held), name=f"deliver {held}")

    async def _run(self, held: Held) -> None:
        try:
            if held.before is not None:
                await asyncio.wait([held.before])
                held.before = None
            if held.unverified and not await self._ask(held):
                return
            while not self.turn.is_over(held) and await self._one(held):
                pass
        except Exception:
            logger.exception("pubsubpull: delivery to subscription %s broke off; it is tried again", held)
            self.progress.failed(held, Retry(error="The worker met an unexpected error; see its log."))
        finally:
            held.task = None
            if held.waits:
                asyncio.get_running_loop().call_soon(self._again, held)

    def _again(self, held: Held) -> None:
        if not self.turn.is_over(held):
            self.start(held)

    async def _one(self, held: Held) -> bool:
        """Send one notification; say whether to go on."""
        wanted = next(iter(held.wanted.values()), None)
        page = dead_letters.alone(held, wanted) if wanted else await self._next(held)
        if page is None or not await self.turn.comes(held):
            return False
        held.free_at = rate_limit.next_at(held, page.count, now=self.progress.now())
        result = await self._spread(held, page) if held.one_by_one else await self._send(held, page)
        if held.dropped or result is None:
            return not held.dropped
        if wanted is None:
            await self._settle(held, page, result)
        else:
            await self._settle_alone(held, wanted, result)
        return True

    async def _next(self, held: Held) -> Notification | None:
        """Return what to send next: first the rows that were asked for, then the changes."""
        if held.initial is not None and held.current is None:
            try:
                held.current = await self.rows(held)
            except DatabaseError as error:
                logger.warning("pubsubpull: the database is away (%s); rows are read later", threads.first_line(error))
                await self.turn.wait(held, AWAY)
                return None
            if held.current is None:
                self.progress.complete(held)
        return held.next()

    async def _spread(self, held: Held, page: Notification) -> Outcome | None:
        """Send the changes of a page one by one, each as a message of its own; None where that was broken off."""

        async def send(row: Row) -> Outcome:
            change = ChangeRef(model=row.model, key=per_key.key(row), version=per_key.version(row))
            return await self._send(held, notification.of_one(row, page, style=held.style), change)

        spreading = per_key.Spread(
            send=send,
            width=held.concurrency,
            over=lambda: self.turn.is_over(held) or not self.alive().is_set(),
            done=held.done,
            alone=page.edges,
        )
        return await spreading.run(page.rows)

    async def _send(self, held: Held, page: Notification, change: ChangeRef | None = None) -> Outcome:
        return await self._exchange(held, self.transport.send(held.target, page.message(change)))

    async def _ask(self, held: Held) -> bool:
        """Ask the receiver for its consent, again and again; say whether it has given it."""
        while await self.turn.comes(held):
            result = await self._exchange(held, self.transport.prepare(held.target))
            if held.dropped:
                return False
            if isinstance(result, Ready):
                logger.info("pubsubpull: the receiver of subscription %s has consented", held)
                held.allowed_rate = result.rate
                self.progress.well(held, held.cursor, held.told)
                self.progress.room(held)
                return True
            self.progress.failed(held, result)
        return False

    async def _exchange(self, held: Held, exchange: Awaitable[T]) -> T:
        """Return what became of an exchange; tell the breaker how the endpoint fares."""
        began = time.monotonic()
        result = await exchange
        endpoint = self.transport.endpoint(held.callback)
        if isinstance(result, Retry) and result.unsent:
            await self.breaker.give_back(endpoint)
            return result
        self.meter.exchanged(type(result).__name__.lower(), time.monotonic() - began)
        if isinstance(result, Retry) and result.away:
            await self.breaker.failed(endpoint, began=began, error=result.error)
        else:
            await self.breaker.answered(endpoint)
        return result

    async def _settle(self, held: Held, page: Notification, result: Outcome) -> None:
        match result:
            case Delivered():
                held.done.difference_update([row.version for row in page.rows])
                count = self.progress.delivered(held, page)
                if count:
                    self.meter.delivered(page.rows[0].item, count=count, now=self.progress.now())
                self.delivered += count
            case Rewind(cursor=cursor):
                await self._rewind(held, cursor)
            case Gone():
                self._end(held, result)
            case Retry():
                self.progress.failed(held, result)
                if held.failing:
                    await self._find(held, page, result)

    async def _find(self, held: Held, page: Notification, result: Retry) -> None:
        """Look for the change that is not taken, and set it aside, where the subscription asks for that."""
        step = self.aside.step(held, page, result)
        if step is Step.HALVE:
            self.progress.halve(held, page)
        elif step is Step.SET_ASIDE:
            try:
                if reason := await self.aside.full(held):
                    self.progress.end(held, State.DISABLED, reason)
                elif await self.aside.put(held, page, result):
                    self.progress.set_aside(held, page)
            except DatabaseError as error:
                logger.warning("pubsubpull: the database is away (%s); nothing is set aside", threads.first_line(error))

    async def _settle_alone(self, held: Held, wanted: dead_letters.Wanted, result: Outcome) -> None:
        """Take note of the answer to a change that had been set aside; the subscription itself fares as before."""
        await self.aside.tried(held, wanted, result)
        if isinstance(result, Delivered):
            self.delivered += 1
        elif isinstance(result, Gone):
            self._end(held, result)

    async def _rewind(self, held: Held, cursor: Cursor) -> None:
        """Go on from where the receiver says it is."""
        try:
            feed.check(cursor, await self.present())
        except exceptions.CursorExpired as error:
            error_ = f"The receiver named a cursor that cannot be used. {error}"
            self.progress.failed(held, Retry(error=error_))
            return
        logger.info("pubsubpull: subscription %s goes on from the cursor that its receiver named", held)
        self.progress.rewound(held, cursor)

    def _end(self, held: Held, result: Gone) -> None:
        """Send the subscription nothing more."""
        self.progress.end(held, State.UNSUBSCRIBED, f"{result.error} PUT the subscription again to go on.")
