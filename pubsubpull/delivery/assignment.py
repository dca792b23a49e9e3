"""A worker's share of the subscriptions: taken, kept by renewal, and released."""

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
"""How often the log's settled id is moved on, in seconds."""
HURRY = 0.2
"""The shortest time between two attempts to take subscriptions, in seconds."""
UNREADABLE = "What is stored is no cursor. PUT the subscription again with after."

logger = logging.getLogger("pubsubpull")


def share(*, subscriptions: int, workers: int) -> int:
    """Return how many subscriptions a worker may hold: 10 for 3 workers → 4."""
    return math.ceil(subscriptions / max(workers, 1))


class Assignment(loops.Service):
    """Keeps the worker's leases, and its share of the subscriptions fair. Setting `hurry` has it look soon."""

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
        self.alive_until = 0.0
        self._writes = writes
        self._alive = asyncio.Event()
        self._settled_at = 0.0

    async def run_once(self) -> None:
        """Renew the leases, drop those that are lost, and take or release what makes a fair share."""
        # Before the renewal: the lease ends so long after the worker asked for it, not after it was answered.
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
        """Wait for a third of a lease, or for a reason to hurry."""
        self.hurry.clear()
        await asyncio.sleep(min(HURRY, self.settings.LEASE / 3))
        await threads.set_within(self.hurry, max(self.settings.LEASE / 3 - HURRY, 0.0))

    def stop(self) -> None:
        """Begin nothing more."""
        super().stop()
        self.hurry.set()

    def alive(self) -> asyncio.Event:
        """Return the event of a lease that is sure; it is taken back where the lease has not been renewed in time."""
        if time.monotonic() >= self.alive_until:
            self._alive.clear()
        return self._alive

    async def _compare(self, renewed: float) -> None:
        """Drop what others have changed or taken, and release what its consumer may no longer have."""
        mine = await self._writes(self.store.mine)
        for lease in list(self.leases.held.values()):
            if mine.get(lease.terms.id) != lease.terms.lease:
                self.leases.drop(lease)
        # Only now are the leases sure: a worker that was cut off for a while may have lost some before it renewed.
        self.alive_until = renewed + self.settings.LEASE
        self._alive.set()
        if unknown := [id_ for id_ in mine if id_ not in self.leases.held]:
            await self._writes(self.store.release, unknown)
        if self.leases.held:
            grants = await self._writes(self.store.grants)
            held = self.leases.held.values()
            await self._release([one for one in held if grants.get(one.terms.consumer_id) != one.terms.granted])

    async def _take(self, at_most: int) -> None:
        leases, unreadable = await self._writes(self.store.claim, at_most)
        for lease in leases:
            self.leases.add(lease)
        if unreadable:
            await self._disable(unreadable)

    async def _disable(self, unreadable: list[Unreadable]) -> None:
        for subscription in unreadable:
            logger.error("pubsubpull: subscription %s is disabled: %s", subscription.id, UNREADABLE)
        await self._writes(self.store.disable, unreadable, error=UNREADABLE)
        for subscription in unreadable:
            self.signals.recorded(
                subscription.id, subscription.state, Subscription.State.DISABLED.value, error=UNREADABLE
            )

    async def _release(self, surplus: list[Lease]) -> None:
        """Finish what is on its way for these, and let them go."""
        if not surplus:
            return
        for lease in surplus:
            lease.ending.set()
            self.groups.leave(lease)
        if tasks := [lease.task for lease in surplus if lease.task]:
            await asyncio.wait(tasks, timeout=self.settings.LEASE / 3)
        # Before the release: what has been delivered until now would be refused after it, and be sent again.
        await self.recorder.flush()
        for lease in surplus:
            self.leases.drop(lease)
        await self._writes(self.store.release, [lease.terms.id for lease in surplus])
