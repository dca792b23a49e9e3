"""When a lease may send: at its time, within its rates, with a sure lease, to a host that is not left alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pubsubpull.subscriptions.models import SERVED

if TYPE_CHECKING:
    from pubsubpull.delivery.assignment import Assignment
    from pubsubpull.delivery.breaker import Breaker
    from pubsubpull.delivery.lease import Lease
    from pubsubpull.delivery.transitions import Progress
    from pubsubpull.transports.base import Transport


class Gate:
    """What the deliveries of a worker wait for; `stopping` ends every wait."""

    def __init__(self, *, transport: Transport, assignment: Assignment, breaker: Breaker, progress: Progress) -> None:
        self.transport = transport
        self.assignment = assignment
        self.breaker = breaker
        self.progress = progress
        self.stopping = asyncio.Event()

    def is_over(self, lease: Lease) -> bool:
        """True if nothing more is to be sent under the lease."""
        return self.stopping.is_set() or lease.ending.is_set() or lease.checkpoint.state not in SERVED

    def is_shut(self, lease: Lease) -> bool:
        """True if nothing is to be sent now, whatever is to be sent later."""
        return self.is_over(lease) or not self.assignment.alive().is_set()

    async def opens(self, lease: Lease) -> bool:
        """Wait for the time of the next attempt, and for the lease to be sure; return False if the wait was in vain."""
        endpoint = self.transport.endpoint(lease.terms.callback)
        if lease.due_at is not None:
            await self.wait(lease, lease.due_at - self.progress.now())
        while not self.is_over(lease):
            alive = self.assignment.alive()
            if not alive.is_set():
                await self.wait(lease, 1.0, alive)
            elif wait := await self.breaker.wait(endpoint, failing=bool(lease.checkpoint.attempts)):
                self._hold_back(lease, endpoint, wait)
                await self.wait(lease, wait, self.breaker.news(endpoint))
            elif self.is_over(lease):
                # The breaker may have given its probe of the endpoint while the lease ended: another lease takes it.
                await self.breaker.give_back(endpoint)
            else:
                return True
        return False

    async def wait(self, lease: Lease, seconds: float, *events: asyncio.Event) -> None:
        """Wait so long, or until the worker stops, the lease ends, or an event comes."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.stopping, lease.ending, *events)]
        await asyncio.wait(waits, timeout=max(seconds, 0.0), return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def _hold_back(self, lease: Lease, endpoint: str, wait: float) -> None:
        """Put the lease off: others have found that its endpoint does not answer."""
        sick = self.breaker.given_up(endpoint)
        error = f"{endpoint} does not answer, and is tried by one alone. {sick.error if sick else ''}".rstrip()
        at = lease.checkpoint
        if at.last_error != error or (at.next_attempt or 0.0) <= self.progress.now():
            self.progress.put_off(lease, wait, error)
