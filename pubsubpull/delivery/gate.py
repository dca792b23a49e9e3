"""When a subscription may send: at its time, within its rates, with a sure lease, to a host that is not left alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pubsubpull.subscriptions.models import SERVED

if TYPE_CHECKING:
    from collections.abc import Callable

    from pubsubpull.delivery.breaker import Breaker
    from pubsubpull.delivery.lease import Held
    from pubsubpull.delivery.transitions import Progress


class Turn:
    """What the deliveries of a worker wait for; `stopping` ends every wait."""

    def __init__(
        self,
        *,
        breaker: Breaker,
        progress: Progress,
        alive: Callable[[], asyncio.Event],
        endpoint: Callable[[str], str],
    ) -> None:
        self.breaker = breaker
        self.progress = progress
        self.alive = alive
        self.endpoint = endpoint
        self.stopping = asyncio.Event()

    def is_over(self, held: Held) -> bool:
        """Whether nothing more is to be sent to the subscription by this worker."""
        return self.stopping.is_set() or held.ending.is_set() or held.state not in SERVED

    async def comes(self, held: Held) -> bool:
        """Wait for the time of the next attempt, and for the lease to be sure; say whether to send."""
        if held.next_attempt is not None:
            await self.wait(held, held.next_attempt - self.progress.now())
        if held.free_at is not None:
            await self.wait(held, held.free_at - self.progress.now())
        endpoint = self.endpoint(held.callback)
        while not self.is_over(held):
            alive = self.alive()
            if not alive.is_set():
                await self.wait(held, 1.0, alive)
            elif wait := await self.breaker.wait(endpoint, failing=bool(held.attempts)):
                self._held_back(held, endpoint, wait)
                await self.wait(held, wait, self.breaker.news(endpoint))
            elif self.is_over(held):
                await self.breaker.give_back(endpoint)
            else:
                return True
        return False

    async def wait(self, held: Held, seconds: float, *events: asyncio.Event) -> None:
        """Wait so long, or until the worker stops, the subscription is taken away, or an event comes."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.stopping, held.ending, *events)]
        await asyncio.wait(waits, timeout=max(seconds, 0.0), return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def _held_back(self, held: Held, endpoint: str, wait: float) -> None:
        """Note that the subscription waits for its host, which others have found not to answer."""
        sick = self.breaker.given_up(endpoint)
        error = f"{endpoint} does not answer, and is tried by one alone. {sick.error if sick else ''}".rstrip()
        if held.last_error != error or (held.next_attempt or 0.0) <= self.progress.now():
            self.progress.put_off(held, wait, error)
