"""Delivers what waits for a subscription: one notification after the other, each until it is accepted."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import time
from typing import TYPE_CHECKING, TypeVar

from pubsubpull import __version__, exceptions
from pubsubpull.capture import feed
from pubsubpull.subscribe import backoff, consent, signing
from pubsubpull.subscribe.models import Subscription
from pubsubpull.subscribe.outcome import Delivered, Gone, Outcome, Retry, Rewind, outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pubsubpull.capture.cursor import Cursor
    from pubsubpull.conf import Settings
    from pubsubpull.subscribe.breaker import Breaker
    from pubsubpull.subscribe.held import Groups, Held
    from pubsubpull.subscribe.notification import Notification
    from pubsubpull.subscribe.transport import Response, Transport

T = TypeVar("T")
State = Subscription.State
AGENT = {"user-agent": f"pubsubpull/{__version__}"}
HEADERS = {"content-type": "application/json", **AGENT}
UNSUBSCRIBED = "The receiver answered 410: it wants no more. PUT the subscription again to go on."
REWINDS = 3
"""How often in a row a receiver may say that it is elsewhere before that is a failure."""

logger = logging.getLogger("pubsubpull")


class Delivery:
    """What all deliveries of a worker share.

    `note` has a subscription's progress recorded; `room` is called when one may read further; `alive` gives an
    event that is set while the worker's leases are sure to be its own; `present` reads the log's present.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        transport: Transport,
        groups: Groups,
        breaker: Breaker,
        note: Callable[[Held], None],
        room: Callable[[Held], None],
        alive: Callable[[], asyncio.Event],
        present: Callable[[], Awaitable[feed.Present]],
    ) -> None:
        self.settings = settings
        self.transport = transport
        self.groups = groups
        self.breaker = breaker
        self.note = note
        self.room = room
        self.alive = alive
        self.present = present
        self.stopping = asyncio.Event()
        self.delivered = 0

    def start(self, held: Held) -> None:
        """Deliver what waits for the subscription, unless that is under way."""
        if held.task is None and not self.stopping.is_set():
            held.task = asyncio.create_task(self._run(held), name=f"deliver {held}")

    async def _run(self, held: Held) -> None:
        try:
            if held.before is not None:
                await asyncio.wait([held.before])
                held.before = None
            if held.unverified and not await self._ask(held):
                return
            while not self._over(held) and (notification := held.next()):
                if not await self._due(held):
                    return
                result = await self._send(held, notification)
                if held.dropped:
                    return
                await self._settle(held, notification, result)
        except Exception:
            logger.exception("pubsubpull: delivery to subscription %s broke off; it is tried again", held)
            self._failed(held, Retry(error="The worker met an unexpected error; see its log."))
        finally:
            held.task = None
            if held.pending.count or held.current or held.unverified:
                asyncio.get_running_loop().call_soon(self._again, held)

    def _again(self, held: Held) -> None:
        if not self._over(held):
            self.start(held)

    def _over(self, held: Held) -> bool:
        return self.stopping.is_set() or held.ending.is_set() or held.state == State.DISABLED

    async def _due(self, held: Held) -> bool:
        """Wait for the time of the next attempt, and for the lease to be sure; say whether to send."""
        if held.next_attempt is not None:
            await self._first(held, held.next_attempt - time.time())
        while not self._over(held):
            alive = self.alive()
            if not alive.is_set():
                await self._first(held, 1.0, alive)
            elif wait := await self.breaker.wait(held.host, failing=bool(held.attempts)):
                self._held_back(held, wait)
                await self._first(held, wait, self.breaker.news(held.host))
            elif self._over(held):
                await self.breaker.give_back(held.host)
            else:
                return True
        return False

    async def _first(self, held: Held, seconds: float, *events: asyncio.Event) -> None:
        """Wait so long, or until the worker stops, the subscription is taken away, or an event comes."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.stopping, held.ending, *events)]
        await asyncio.wait(waits, timeout=max(seconds, 0.0), return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _send(self, held: Held, notification: Notification) -> Outcome:
        now = time.time()
        headers = signing.headers(
            held.secrets, notification=notification.id, timestamp=int(now), body=notification.body
        )
        sending = self.transport.put(held.callback, notification.body, {**HEADERS, **headers})
        return await self._exchange(held, sending, outcome)

    async def _ask(self, held: Held) -> bool:
        """Ask the receiver for its consent, again and again; say whether it has given it."""
        origin = consent.origin(self.settings)
        while await self._due(held):
            asking = self.transport.options(held.callback, {**AGENT, **consent.request(origin)})
            result = await self._exchange(held, asking, functools.partial(consent.outcome, origin=origin))
            if held.dropped:
                return False
            if isinstance(result, consent.Consented):
                logger.info("pubsubpull: the receiver of subscription %s has consented", held)
                self._moved(held, held.cursor, held.told)
                self.room(held)
                return True
            self._failed(held, result)
        return False

    async def _exchange(self, held: Held, sending: Awaitable[Response], judge: Callable[..., T]) -> T | Retry:
        """Send, and judge the answer; tell the breaker how the host fares."""
        began = time.monotonic()
        try:
            response = await sending
        except exceptions.Unavailable as error:
            result: T | Retry = Retry(error=f"The receiver could not be reached: {error}.", away=True)
        else:
            result = judge(response, now=time.time())
        if isinstance(result, Retry) and result.away:
            await self.breaker.failed(held.host, began=began, error=result.error)
        else:
            await self.breaker.answered(held.host)
        return result

    async def _settle(self, held: Held, notification: Notification, result: Outcome) -> None:
        match result:
            case Delivered():
                self._moved(held, notification.cursor, notification.text)
                held.rewinds = 0
                held.delivered += notification.count
                held.last_delivered = time.time()
                self.delivered += notification.count
                if held.group is None:
                    self.room(held)
            case Rewind(cursor=cursor):
                await self._rewind(held, cursor)
            case Gone():
                self.disable(held, UNSUBSCRIBED)
            case Retry():
                self._failed(held, result)

    def _moved(self, held: Held, cursor: Cursor, text: str) -> None:
        """Note that the receiver is at the cursor, and well."""
        if held.failing:
            logger.info("pubsubpull: subscription %s has recovered after %s failed attempts", held, held.attempts)
        held.cursor, held.told, held.current = cursor, text, None
        held.state, held.attempts, held.failing_since, held.next_attempt = State.ACTIVE.value, 0, None, None
        held.last_error = ""
        self.note(held)

    async def _rewind(self, held: Held, cursor: Cursor) -> None:
        """Go on from where the receiver says it is."""
        try:
            feed.check(cursor, await self.present())
        except exceptions.CursorExpired as error:
            self._failed(held, Retry(error=f"The receiver answered 409 with a cursor that cannot be used. {error}"))
            return
        if held.rewinds == REWINDS:
            self._failed(held, Retry(error="The receiver answers 409 again and again, to pages from its own cursor."))
            return
        logger.info("pubsubpull: subscription %s goes on from the cursor that its receiver named", held)
        held.rewinds += 1
        self._read_on_from(held, cursor)
        self._moved(held, cursor, cursor.encode())
        self.room(held)

    def _failed(self, held: Held, result: Retry) -> None:
        held.attempts += 1
        held.rewinds = 0
        wait = backoff.delay(
            held.attempts,
            first=self.settings.BACKOFF_FIRST,
            limit=self.settings.BACKOFF_LIMIT,
            random=random.random,
        )
        self._put_off(held, max(wait, result.after), result.error)

    def _held_back(self, held: Held, wait: float) -> None:
        """Note that the subscription waits for its host, which others have found not to answer."""
        sick = self.breaker.given_up(held.host)
        error = f"{held.host} does not answer, and is tried by one alone. {sick.error if sick else ''}".rstrip()
        if held.last_error != error or (held.next_attempt or 0.0) <= time.time():
            self._put_off(held, wait, error)

    def _put_off(self, held: Held, wait: float, error: str) -> None:
        """Note that the subscription is failing; nothing is sent for so long."""
        now = time.time()
        if held.failing_since is None:
            held.failing_since = now
            what = "waits for consent" if held.unverified else "is failing"
            logger.warning("pubsubpull: subscription %s %s: %s", held, what, error)
        if now - held.failing_since > self.settings.DISABLE_AFTER:
            self.disable(held, f"Disabled after failing for too long. PUT it again to go on. Last: {error}")
            return
        state = State.UNVERIFIED if held.unverified else State.FAILING
        held.state, held.last_error, held.next_attempt = state.value, error, now + wait
        # What was read ahead would only take up memory for as long as the receiver is away.
        if held.current is not None:
            self._read_on_from(held, held.current.cursor)
        self.note(held)

    def disable(self, held: Held, reason: str) -> None:
        """Deliver no more until the subscription is PUT again; the cursor stays."""
        logger.error("pubsubpull: subscription %s is disabled: %s", held, reason)
        held.state, held.last_error, held.next_attempt = State.DISABLED.value, reason, None
        held.failing_since = held.failing_since or time.time()
        held.pending.clear()
        held.current = None
        self.groups.leave(held)
        self.note(held)

    def _read_on_from(self, held: Held, cursor: Cursor) -> None:
        held.pending.clear()
        self.groups.leave(held)
        held.read = cursor
