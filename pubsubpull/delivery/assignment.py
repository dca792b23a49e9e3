"""A worker's share of the subscriptions: claimed, kept by renewing its leases, and released."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING

from pubsubpull.base import loops, threads
from pubsubpull.subscriptions.models import Subscription

if TYPE_CHECKING:
    from pubsubpull.conf import Settings
    from pubsubpull.delivery.checkpoints import Recorder
    from pubsubpull.delivery.groups import Groups
    from pubsubpull.delivery.lease import Lease
    from pubsubpull.delivery.leases import Leases
    from pubsubpull.delivery.signals import Signals
    from pubsubpull.delivery.store import Store, Unreadable

SETTLE_INTERVAL = 60.0
"""How often a worker moves the log's settled id forward, in seconds."""
HURRY = 0.2
"""The shortest time between two attempts to take subscriptions, in seconds."""
UNREADABLE_CURSOR = "The stored cursor cannot be read. PUT the subscription again with after."
"""The error of a subscription that is disabled because no worker can read its cursor."""

logger = logging.getLogger("pubsubpull")


def share(*, subscriptions: int, workers: int) -> int:
    """Return how many subscriptions a worker may hold: 10 for 3 workers → 4."""
    return math.ceil(subscriptions / max(workers, 1))


class Assignment(loops.Service):
    """Renews the worker's leases, and keeps its share of the subscriptions fair."""

    def __init__(
        self,
        *,
        settings: Settings,
        name: str,
        store: Store,
        writes: threads.Database,
        groups: Groups,
        leases: Leases,
        recorder: Recorder,
        signals: Signals,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.name = name
        self.store = store
        self.groups = groups
        self.leases = leases
        self.recorder = recorder
        self.signals = signals
        self.hurry = asyncio.Event()
        """Set to have the next pass run soon."""
        self.alive_until = 0.0
        """When the leases end unless they are renewed, by the monotonic clock."""
        self._writes = writes
        self._alive = asyncio.Event()
        self._settled_at = 0.0

    async def run_once(self) -> None:
        """Renew the leases, drop the lost ones, and claim or release subscriptions until the share is fair."""
        # Taken before the renewal: the database counts the lease from a moment before its answer arrives here. Counted
        # from the answer, a slow network would let this worker believe in a lease that others may already claim.
        asked = time.monotonic()
        await self._writes(self.store.renew, name=self.name, lease=self.settings.LEASE)
        await self._compare(asked)
        workers, subscriptions = await self._writes(self.store.standing)
        surplus = len(self.leases.held) - share(subscriptions=subscriptions, workers=workers)
        if surplus > 0:
            await self._release(list(self.leases.held.values())[-surplus:])
        elif surplus < 0:
            await self._take(-surplus)
        if time.monotonic() - self._settled_at > SETTLE_INTERVAL:
            self._settled_at = time.monotonic()
            await self._writes(self.store.settle)

    async def pause(self) -> None:
        """Wait for a third of a lease, or until `hurry` is set."""
        # Cleared before the first sleep: a reason that arrives during it still ends the wait below.
        self.hurry.clear()
        await asyncio.sleep(min(HURRY, self.settings.LEASE / 3))
        await threads.set_within(self.hurry, max(self.settings.LEASE / 3 - HURRY, 0.0))

    def stop(self) -> None:
        """Start no further pass."""
        super().stop()
        self.hurry.set()

    def alive(self) -> asyncio.Event:
        """Return the event that is set while the leases are sure, cleared first if they were not renewed in time."""
        # Decided by this process's own clock: a worker cut off from the database must stop sending without asking it.
        if time.monotonic() >= self.alive_until:
            self._alive.clear()
        return self._alive

    async def _compare(self, renewed: float) -> None:
        """Drop the leases that others changed or claimed; release those with changed grants."""
        mine = await self._writes(self.store.mine)
        for lease in list(self.leases.held.values()):
            if mine.get(lease.terms.id) != lease.terms.lease:
                self.leases.drop(lease)
        # Only after the comparison: a worker that was cut off may have lost leases before it renewed the others.
        self.alive_until = renewed + self.settings.LEASE
        self._alive.set()
        # Claimed in a call whose answer was lost: another worker can have them only after a release.
        if unknown := [id_ for id_ in mine if id_ not in self.leases.held]:
            await self._writes(self.store.release, unknown)
        if self.leases.held:
            grants = await self._writes(self.store.grants)
            held = self.leases.held.values()
            await self._release([lease for lease in held if grants.get(lease.terms.consumer_id) != lease.terms.granted])

    async def _take(self, at_most: int) -> None:
        leases, unreadable = await self._writes(self.store.claim, at_most)
        for lease in leases:
            self.leases.add(lease)
        if unreadable:
            await self._disable(unreadable)

    async def _disable(self, unreadable: list[Unreadable]) -> None:
        for subscription in unreadable:
            logger.error("pubsubpull: subscription %s is disabled: %s", subscription.id, UNREADABLE_CURSOR)
        await self._writes(self.store.disable, unreadable, error=UNREADABLE_CURSOR)
        for subscription in unreadable:
            self.signals.recorded(
                subscription.id, subscription.state, Subscription.State.DISABLED.value, error=UNREADABLE_CURSOR
            )

    async def _release(self, surplus: list[Lease]) -> None:
        """Finish the sends under way for these leases, and release them."""
        if not surplus:
            return
        for lease in surplus:
            lease.ending.set()
            self.groups.leave(lease)
        if tasks := [lease.task for lease in surplus if lease.task]:
            # No longer than that: the renewal of the other leases waits for this pass.
            await asyncio.wait(tasks, timeout=self.settings.LEASE / 3)
        # Before the release: afterwards the checkpoints would be refused, and their changes be sent again.
        await self.recorder.flush()
        for lease in surplus:
            self.leases.drop(lease)
        await self._writes(self.store.release, [lease.terms.id for lease in surplus])
