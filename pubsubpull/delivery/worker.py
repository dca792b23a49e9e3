"""The delivery worker: one process that takes its share of the subscriptions, reads the log for them, and sends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import uuid
from typing import TYPE_CHECKING

from django.db import Error as DatabaseError

from pubsubpull.base import loops, threads
from pubsubpull.capture import clock, sql
from pubsubpull.delivery.assignment import Assignment
from pubsubpull.delivery.backfill import Backfill
from pubsubpull.delivery.breaker import Breaker
from pubsubpull.delivery.checkpoints import Recorder
from pubsubpull.delivery.dead_letters import DeadLetters, Redeliveries
from pubsubpull.delivery.gate import Gate
from pubsubpull.delivery.groups import Groups
from pubsubpull.delivery.leases import Leases
from pubsubpull.delivery.meter import Meter
from pubsubpull.delivery.reader import Reader
from pubsubpull.delivery.sender import Sender
from pubsubpull.delivery.signals import Signals
from pubsubpull.delivery.store import Store
from pubsubpull.delivery.transitions import Progress
from pubsubpull.transports import registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pubsubpull.conf import Settings
    from pubsubpull.transports.base import Transport

logger = logging.getLogger("pubsubpull")


class Worker:
    """One delivery process. `run` until `stop`, or `run_once`.

    `beside` are further loops that go on while it runs: those of operations, which delivery knows nothing of.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        name: str | None = None,
        transport: Transport | None = None,
        beside: Sequence[loops.Service] = (),
    ) -> None:
        using = settings.DATABASE
        self.settings = settings
        self.id = uuid.uuid4()
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self.transport = transport or registry.of(settings)
        self.beside = tuple(beside)

        # Each has a thread and a connection of its own: none of them may wait for another.
        self.reads = reads = threads.Database(using, "reads")
        self.writes = writes = threads.Database(using, "writes")
        self.notices = threads.Database(using, "signals")

        # From the ground up: each part is given those above it, and none knows of those below.
        self.store = store = Store(using=using, worker=self.id)
        self.signals = signals = Signals(using=using, thread=self.notices)
        self.groups = groups = Groups()
        self.leases = leases = Leases(groups=groups)
        self.recorder = recorder = Recorder(store=store, writes=writes, signals=signals, leases=leases)
        self.assignment = assignment = Assignment(
            settings=settings,
            name=self.name,
            store=store,
            writes=writes,
            groups=groups,
            leases=leases,
            recorder=recorder,
            signals=signals,
        )
        self.progress = progress = Progress(settings=settings, groups=groups, recorder=recorder)
        self.breaker = breaker = Breaker(settings=settings, writes=writes)
        self.gate = gate = Gate(transport=self.transport, assignment=assignment, breaker=breaker, progress=progress)
        self.meter = meter = Meter(using=using, writes=writes)
        self.dead_letters = dead_letters = DeadLetters(
            settings=settings, worker=self.id, writes=writes, signals=signals
        )
        self.backfill = backfill = Backfill(using=using)
        self.sender = sender = Sender(
            settings=settings,
            transport=self.transport,
            gate=gate,
            breaker=breaker,
            progress=progress,
            meter=meter,
            dead_letters=dead_letters,
            backfill=backfill,
            reads=reads,
        )
        self.redeliveries = Redeliveries(store=dead_letters.store, writes=writes, leases=leases, start=sender.start)
        self.reader = Reader(
            settings=settings,
            store=store,
            reads=reads,
            writes=writes,
            groups=groups,
            leases=leases,
            assignment=assignment,
            progress=progress,
            sender=sender,
        )

        self.background: tuple[loops.Service, ...] = (
            assignment,  # renews the leases, and takes and releases subscriptions
            recorder,  # writes checkpoints, many in one commit
            meter,  # adds what was counted to the counters that all workers share
            breaker,  # learns of the hosts that do not answer other workers
            self.redeliveries,  # finds the dead letters that are to be tried again
        )
        """What goes on beside the reading of the log."""

    async def run(self) -> None:
        """Deliver until `stop` is called, then finish what has begun."""
        async with self._ready():
            logger.info("pubsubpull: the delivery worker %s has started", self.name)
            await self._warn_of_few_connections()
            await loops.run([*self.background, *self.beside, self.reader], until=self.gate.stopping.wait)
        logger.info("pubsubpull: the delivery worker %s has stopped", self.name)

    async def run_once(self) -> int:
        """Deliver what there is now, as far as it is accepted at once; return how many changes that was."""
        async with self._ready():
            await self.assignment.run_once()
            await loops.run(self.background, until=self._catch_up)
        return self.sender.delivered

    def stop(self) -> None:
        """Begin nothing more, and end as soon as what has begun is done."""
        self.gate.stopping.set()
        for service in (*self.background, *self.beside, self.reader):
            service.stop()

    @contextlib.asynccontextmanager
    async def _ready(self) -> AsyncIterator[None]:
        """Stop at signals; in the end finish, record, and let go."""
        # Later the process may have no descriptor left to open a file with.
        sql.preload()
        try:
            with threads.signals(self.stop):
                try:
                    yield
                finally:
                    self.stop()
                await self._drain()
        finally:
            await self.transport.close()
            for service in self.beside:
                await service.close()
            for database in (self.reads, self.writes, self.notices, self.backfill.database):
                await database.close()

    async def _warn_of_few_connections(self) -> None:
        """Say how many connections there may be, where that is little for what there is to deliver."""
        most = self.transport.connections
        with contextlib.suppress(DatabaseError):  # the loops wait for a database that is away
            _, subscriptions = await self.writes(self.store.standing)
            if most is not None and most < subscriptions:
                logger.warning(
                    "pubsubpull: there are %s subscriptions, and this worker may have %s connections at a time: the "
                    "system lets it open few files. They take turns; raise the limit (ulimit -n), or run more workers.",
                    subscriptions,
                    most,
                )

    async def _catch_up(self) -> None:
        """Deliver what there is at the moment of the call."""
        upto = await self.reader.present()
        while True:
            behind = await self.reader.tick(upto)
            due = clock.of(self.settings.DATABASE).now()
            held = self.leases.held.values()
            if busy := [one.task for one in held if one.task and (one.checkpoint.next_attempt or 0) <= due]:
                await asyncio.wait(busy, timeout=self.settings.POLL_INTERVAL, return_when=asyncio.FIRST_COMPLETED)
            elif not behind:
                return

    async def _drain(self) -> None:
        """Finish what is on its way, within the limit; record it; let everything go."""
        if tasks := self.leases.under_way():
            logger.info("pubsubpull: the delivery worker %s finishes %s notifications", self.name, len(tasks))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.DRAIN):
                if tasks := self.leases.under_way():
                    await asyncio.wait(tasks)
        for task in self.leases.under_way():
            task.cancel()
        try:
            await self.recorder.flush()
            await self.meter.flush()
            await self.reader.move_cursors(at_once=True)
            # Last: once the leases are gone, nothing more may be recorded.
            await self.writes(self.store.leave)
            await self.signals.flush(self.settings.DRAIN)
        except DatabaseError as error:
            logger.warning(
                "pubsubpull: the database is away (%s); others take over when the lease ends", threads.first_line(error)
            )


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
    return worker.sender.delivered
