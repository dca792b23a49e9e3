"""A worker's share of the subscriptions: taken, kept by leases, and let go."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING, Any

from pubsubpull import exceptions
from pubsubpull.base import threads
from pubsubpull.delivery import store as stores

if TYPE_CHECKING:
    import uuid
    from collections.abc import Awaitable, Callable

    from pubsubpull.conf import Settings
    from pubsubpull.delivery.groups import Groups
    from pubsubpull.delivery.lease import Held

SETTLE_INTERVAL = 60.0
"""How often the log's settled id is moved on, in seconds."""
HURRY = 0.2
"""The shortest time between two attempts to take subscriptions, in seconds."""

logger = logging.getLogger("pubsubpull")


def share(*, subscriptions: int, workers: int) -> int:
    """Return how many subscriptions a worker may hold: 10 for 3 workers → 4."""
    return math.ceil(subscriptions / max(workers, 1))


class Shares:
    """What a worker holds: `held`, and what is on its way for subscriptions that it holds no more.

    `beginning` are those that have just been taken, and whose receivers are to be asked, or to get rows, first.

    `flush` has all progress recorded, `tell` is told what was recorded, `wake` is set where there is more to read for.
    Setting `hurry` has the share looked at soon.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        name: str,
        store: stores.Store,
        writes: threads.Database,
        groups: Groups,
        flush: Callable[[], Awaitable[None]],
        tell: Callable[[str, stores.Record], None],
        wake: asyncio.Event,
    ) -> None:
        self.settings = settings
        self.name = name
        self.store = store
        self.groups = groups
        self.held: dict[uuid.UUID, Held] = {}
        self.beginning: list[Held] = []
        self.hurry = asyncio.Event()
        self.alive_until = 0.0
        self._writes = writes
        self._flush = flush
        self._tell = tell
        self._wake = wake
        self._alive = asyncio.Event()
        self._settled_at = 0.0
        self._leaving: dict[uuid.UUID, asyncio.Task[None]] = {}

    async def keep(self) -> None:
        """Keep the leases, and the share of the subscriptions fair, for ever."""
        while True:
            await self.take()
            self.hurry.clear()
            await asyncio.sleep(min(HURRY, self.settings.LEASE / 3))
            await threads.set_within(self.hurry, max(self.settings.LEASE / 3 - HURRY, 0.0))

    async def take(self) -> None:
        """Say that this worker lives, drop what is no more its own, and take or release what makes its share."""
        asked = time.monotonic()
        await self._writes(self.store.renew, name=self.name, lease=self.settings.LEASE)
        await self._compare(asked)
        workers, subscriptions = await self._writes(self.store.standing)
        surplus = len(self.held) - share(subscriptions=subscriptions, workers=workers)
        if surplus > 0:
            await self._release(list(self.held.values())[-surplus:])
        elif surplus < 0:
            await self._hold(await self._writes(self.store.claim, -surplus))
        if time.monotonic() - self._settled_at > SETTLE_INTERVAL:
            self._settled_at = time.monotonic()
            await self._writes(self.store.settle)

    def alive(self) -> asyncio.Event:
        """Return the event of a lease that is sure; it is taken back where the lease has not been renewed in time."""
        if time.monotonic() >= self.alive_until:
            self._alive.clear()
        return self._alive

    def drop(self, held: Held) -> None:
        """Forget a subscription that is no more this worker's, but for what it has on its way."""
        held.dropped = True
        held.ending.set()
        self.groups.leave(held)
        if held.task:
            self._leaving[held.id] = held.task
            held.task.add_done_callback(lambda task: self._left(held.id, task))
        if self.held.get(held.id) is held:
            del self.held[held.id]

    def under_way(self) -> list[asyncio.Task[None]]:
        """Return the deliveries that are not over."""
        return [held.task for held in self.held.values() if held.task] + list(self._leaving.values())

    async def _compare(self, renewed: float) -> None:
        """Drop what others have changed or taken, and what its consumer may no longer have.

        Only then are the leases sure: a worker that was not heard of for a while may have lost some before it renewed.
        """
        mine = await self._writes(self.store.mine)
        for held in list(self.held.values()):
            if mine.get(held.id) != held.lease:
                self.drop(held)
        self.alive_until = renewed + self.settings.LEASE
        self._alive.set()
        if unknown := [id_ for id_ in mine if id_ not in self.held]:
            await self._writes(self.store.release, unknown)
        if self.held:
            grants = await self._writes(self.store.grants)
            await self._release([held for held in self.held.values() if grants.get(held.consumer_id) != held.granted])

    async def _hold(self, rows: list[tuple[Any, ...]]) -> None:
        broken = []
        for row in rows:
            try:
                self._add(stores.held(row))
            except exceptions.CursorInvalid:
                broken.append(stores.broken(row))
        if broken:
            for record in broken:
                logger.error("pubsubpull: subscription %s is disabled: %s", record.id, record.last_error)
            await self._writes(self.store.record, broken)
            for record in broken:
                self._tell("", record)

    def _add(self, held: Held) -> None:
        if earlier := self.held.get(held.id):
            self.drop(earlier)
        held.before = self._leaving.pop(held.id, None)
        self.held[held.id] = held
        if held.unverified or held.initial:
            held.read = held.cursor
            self.beginning.append(held)
        else:
            self.groups.join(held, held.cursor)
        self._wake.set()

    def _left(self, id_: uuid.UUID, task: asyncio.Task[None]) -> None:
        if self._leaving.get(id_) is task:
            del self._leaving[id_]

    async def _release(self, surplus: list[Held]) -> None:
        """Finish what is on its way for these, and let them go."""
        if not surplus:
            return
        for held in surplus:
            held.ending.set()
            self.groups.leave(held)
        if tasks := [held.task for held in surplus if held.task]:
            await asyncio.wait(tasks, timeout=self.settings.LEASE / 3)
        await self._flush()
        for held in surplus:
            self.drop(held)
        await self._writes(self.store.release, [held.id for held in surplus])
