"""The gate before each send: a due time, the rates, a sure lease, and a closed circuit."""

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
    """Lets a worker's deliveries pass one by one, as soon as each may send."""

    def __init__(self, *, transport: Transport, assignment: Assignment, breaker: Breaker, progress: Progress) -> None:
        self.transport = transport
        self.assignment = assignment
        self.breaker = breaker
        self.progress = progress
        self.stopping = asyncio.Event()
        """Set when the worker stops; ends every wait."""

    def is_over(self, lease: Lease) -> bool:
        """True if nothing more is to be sent under the lease."""
        return self.stopping.is_set() or lease.ending.is_set() or lease.checkpoint.state not in SERVED

    def is_shut(self, lease: Lease) -> bool:
        """True if nothing may be sent at this moment."""
        return self.is_over(lease) or not self.assignment.alive().is_set()

    async def opens(self, lease: Lease) -> bool:
        """Wait until the lease may send, then return True; return False if the lease is over."""
        endpoint = self.transport.endpoint(lease.terms.callback)
        if lease.due_at is not None:
            await self.wait(lease, lease.due_at - self.progress.now())
        while not self.is_over(lease):
            # Asked in each round, last of all before the breaker: the lease may have ended during any wait.
            alive = self.assignment.alive()
            if not alive.is_set():
                await self.wait(lease, 1.0, alive)
            elif wait := await self.breaker.wait(endpoint, failing=bool(lease.checkpoint.attempts)):
                self._hold_back(lease, endpoint, wait)
                await self.wait(lease, wait, self.breaker.changed(endpoint))
            elif self.is_over(lease):
                # The lease ended while the breaker gave it the probe: without this, no lease could probe the endpoint
                # until the hold is over.
                await self.breaker.give_back(endpoint)
            else:
                return True
        return False

    async def wait(self, lease: Lease, seconds: float, *events: asyncio.Event) -> None:
        """Wait so many seconds, or until the worker stops, the lease ends, or an event is set."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.stopping, lease.ending, *events)]
        await asyncio.wait(waits, timeout=max(seconds, 0.0), return_when=asyncio.FIRST_COMPLETED)
        # The waits that are left would pile up on events that are rarely set.
        for wait in waits:
            wait.cancel()

    def _hold_back(self, lease: Lease, endpoint: str, wait: float) -> None:
        """Put the lease off while the circuit of its endpoint is open."""
        host = self.breaker.open_circuit(endpoint)
        error = f"{endpoint} does not answer; one probe at a time tries it. {host.error if host else ''}".rstrip()
        at = lease.checkpoint
        # Only when it tells something new: each note is a write.
        if at.last_error != error or (at.next_attempt or 0.0) <= self.progress.now():
            self.progress.put_off(lease, wait, error)
