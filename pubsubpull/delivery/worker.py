"""The delivery worker: one process that takes its share of the subscriptions, reads the log for them, and sends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
import uuid
from typing import TYPE_CHECKING, Any

from django.db import Error as DatabaseError

from pubsubpull.base import threads
from pubsubpull.capture import clock, sql
from pubsubpull.delivery import backfill
from pubsubpull.delivery import store as stores
from pubsubpull.delivery.assignment import Shares
from pubsubpull.delivery.breaker import Breaker
from pubsubpull.delivery.checkpoints import Recorder
from pubsubpull.delivery.dead_letters import Aside
from pubsubpull.delivery.groups import Groups
from pubsubpull.delivery.meter import Meter
from pubsubpull.delivery.reader import Reader
from pubsubpull.delivery.sender import Delivery
from pubsubpull.delivery.signals import Signals
from pubsubpull.delivery.transitions import Progress
from pubsubpull.operate.maintenance_loop import Upkeep
from pubsubpull.operate.samples import Sampler
from pubsubpull.transports import registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from pubsubpull.conf import Settings
    from pubsubpull.delivery.lease import Held
    from pubsubpull.delivery.notification import Notification
    from pubsubpull.log.feed import Present
    from pubsubpull.transports.base import Transport

AWAY_LIMIT = 5.0
"""The longest wait between two attempts to reach the database, in seconds."""

logger = logging.getLogger("pubsubpull")


class Worker:
    """One delivery process. `run` until `stop`, or `run_once`."""

    def __init__(self, *, settings: Settings, name: str | None = None, transport: Transport | None = None) -> None:
        self.settings = settings
        self.id = uuid.uuid4()
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self.transport = transport or registry.of(settings)
        self.store = stores.Store(using=settings.DATABASE, worker=self.id)

    async def run(self) -> None:
        """Deliver until `stop` is called, then finish what has begun."""
        async with self._ready():
            logger.info("pubsubpull: the delivery worker %s has started", self.name)
            await self._say_room()
            stopping = self.delivery.turn.stopping.wait
            await self._beside(*self._loops(), self.upkeep.run, self.sampler.run, self.reader.read_on, until=stopping)
        logger.info("pubsubpull: the delivery worker %s has stopped", self.name)

    async def run_once(self) -> int:
        """Deliver what there is now, as far as it is accepted at once; return how many changes that was."""
        async with self._ready():
            await self.shares.take()
            await self._beside(*self._loops(), until=self._catch_up)
        return self.delivery.delivered

    def stop(self) -> None:
        """Begin nothing more, and end as soon as what has begun is done."""
        self.delivery.turn.stopping.set()
        self.reader.wake.set()
        self.shares.hurry.set()

    @contextlib.asynccontextmanager
    async def _ready(self) -> Any:
        """Make what belongs to a running loop; in the end finish, record, and let go."""
        using = self.settings.DATABASE
        reads, writes, others, upkeep = (threads.Database(using, n) for n in ("reads", "writes", "signals", "upkeep"))
        self.rows = threads.Database(using, "rows")
        self.signals = Signals(using=using, thread=others)
        self.upkeep = Upkeep(settings=self.settings, database=upkeep)
        self.sampler = Sampler(using=using, database=upkeep)
        self._writes = writes
        sql.preload()
        self._make(reads, writes)
        try:
            with threads.signals(self.stop):
                yield
                await self._drain(writes)
        finally:
            await self.transport.close()
            for database in (reads, writes, others, upkeep, self.rows):
                await database.close()

    async def _say_room(self) -> None:
        """Say how many connections there may be, where that is little for what there is to deliver."""
        most = self.transport.connections
        with contextlib.suppress(DatabaseError):  # what is away is waited for elsewhere
            _, subscriptions = await self._writes(self.store.standing)
            if most is not None and most < subscriptions:
                logger.warning(
                    "pubsubpull: there are %s subscriptions, and this worker may have %s connections at a time: the "
                    "system lets it open few files. They take turns; raise the limit (ulimit -n), or run more workers.",
                    subscriptions,
                    most,
                )

    def _loops(self) -> list[Callable[[], Any]]:
        """Return what goes on beside the reading of the log."""

        async def try_again() -> None:
            await self.aside.watch(self.shares.held, self.delivery.start)

        return [self.shares.keep, self.recorder.run, self.meter.run, self.breaker.watch, try_again]

    def _make(self, reads: threads.Database, writes: threads.Database) -> None:
        """Make the parts, which know of each other."""
        wake, groups = asyncio.Event(), Groups()

        async def record(records: list[stores.Record]) -> set[object]:
            return set(await writes(self.store.record, records))

        def lost(held: Held) -> None:
            self.shares.drop(held)

        def room(held: Held) -> None:
            self.reader.room(held)

        async def present() -> Present:
            return await self.reader.present()

        async def rows(held: Held) -> Notification | None:
            return await self.rows(backfill.page, held, using=self.settings.DATABASE)

        self.recorder = Recorder(write=record, tell=self.signals.recorded, lost=lost)
        self.shares = Shares(
            settings=self.settings,
            name=self.name,
            store=self.store,
            writes=writes,
            groups=groups,
            flush=self.recorder.flush,
            tell=self.signals.recorded,
            wake=wake,
        )
        self.breaker = Breaker(settings=self.settings, writes=writes)
        self.aside = Aside(settings=self.settings, worker=self.id, writes=writes, signals=self.signals)
        self.meter = Meter(using=self.settings.DATABASE, writes=writes)
        self.delivery = Delivery(
            meter=self.meter,
            transport=self.transport,
            breaker=self.breaker,
            progress=Progress(settings=self.settings, groups=groups, note=self.recorder.note, room=room),
            aside=self.aside,
            alive=self.shares.alive,
            present=present,
            rows=rows,
        )
        self.reader = Reader(
            settings=self.settings,
            store=self.store,
            reads=reads,
            writes=writes,
            groups=groups,
            shares=self.shares,
            delivery=self.delivery,
            wake=wake,
        )

    async def _beside(self, *loops: Callable[[], Any], until: Callable[[], Any]) -> None:
        """Run the loops until `until` is done, or one of them fails in a way that nobody expected."""
        tasks = [asyncio.create_task(_loop(loop)) for loop in loops]
        last = asyncio.create_task(until())
        try:
            await asyncio.wait([*tasks, last], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.stop()
            for task in (*tasks, last):
                task.cancel()
            results = await asyncio.gather(*tasks, last, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _catch_up(self) -> None:
        """Deliver what there is at the moment of the call."""
        upto = await self.reader.present()
        while True:
            behind = await self.reader.tick(upto)
            due = clock.of(self.settings.DATABASE).now()
            held = self.shares.held.values()
            if busy := [h.task for h in held if h.task and (h.next_attempt or 0) <= due]:
                await asyncio.wait(busy, timeout=self.settings.POLL_INTERVAL, return_when=asyncio.FIRST_COMPLETED)
            elif not behind:
                return

    async def _drain(self, writes: threads.Database) -> None:
        """Finish what is on its way, within the limit; record it; let everything go."""
        if tasks := self.shares.under_way():
            logger.info("pubsubpull: the delivery worker %s finishes %s notifications", self.name, len(tasks))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.DRAIN):
                if tasks := self.shares.under_way():
                    await asyncio.wait(tasks)
        for task in self.shares.under_way():
            task.cancel()
        try:
            await self.recorder.flush()
            await self.meter.flush()
            await self.reader.move_cursors(at_once=True)
            await writes(self.store.leave)
            await self.signals.flush(self.settings.DRAIN)
        except DatabaseError as error:
            logger.warning(
                "pubsubpull: the database is away (%s); others take over when the lease ends", threads.first_line(error)
            )


async def _loop(work: Callable[[], Any]) -> None:
    """Do the work for ever; where the database is away, wait for it."""
    wait = 0.1
    while True:
        began = time.monotonic()
        try:
            await work()
        except (DatabaseError, OSError) as error:
            if time.monotonic() - began > AWAY_LIMIT:
                wait = 0.1
            what = "the database is away" if isinstance(error, DatabaseError) else "the system refuses"
            logger.warning("pubsubpull: %s (%s); the worker waits for it", what, threads.first_line(error))
            await asyncio.sleep(wait)
            wait = min(wait * 2, AWAY_LIMIT)


def run(worker: Worker, *, once: bool = False) -> int:
    """Run a worker in a loop of its own, uvloop's where it is installed; return how many changes it delivered."""
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(worker.run_once() if once else worker.run())
    return worker.delivery.delivered
