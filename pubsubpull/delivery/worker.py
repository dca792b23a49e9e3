"""The delivery worker: one process that claims its share of the subscriptions, reads the log and sends changes."""

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
    from collections.abc import AsyncIterator, Callable, Sequence

    from pubsubpull.conf import Settings
    from pubsubpull.transports.base import Transport

logger = logging.getLogger("pubsubpull")


class Worker:
    """One delivery process. `run` goes on until `stop`; `run_once` delivers the changes of now.

    `beside` holds further loops to run meanwhile, such as maintenance. `make_store` makes the access to the database.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        name: str | None = None,
        transport: Transport | None = None,
        beside: Sequence[loops.Service] = (),
        make_store: Callable[..., Store] = Store,
    ) -> None:
        using = settings.DATABASE
        self.settings = settings
        self.id = uuid.uuid4()
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self.transport = transport or registry.of(settings)
        self.beside = tuple(beside)

        # Each has a thread and a connection of its own: a slow read must not delay a checkpoint or a renewal.
        self.reads = threads.Database(using, "reads")
        self.writes = threads.Database(using, "writes")
        self.notices = threads.Database(using, "signals")

        # From the ground up: each part gets only parts above it.
        self.store = make_store(using=using, worker=self.id)
        self.signals = Signals(using=using, thread=self.notices)
        self.groups = Groups()
        self.leases = Leases(groups=self.groups)
        self.recorder = Recorder(store=self.store, writes=self.writes, signals=self.signals, leases=self.leases)
        self.assignment = self._assignment()
        self.progress = Progress(settings=settings, groups=self.groups, recorder=self.recorder)
        self.breaker = Breaker(settings=settings, writes=self.writes)
        self.gate = self._gate()
        self.meter = Meter(using=using, writes=self.writes)
        self.dead_letters = self._dead_letters()
        self.backfill = Backfill(using=using)
        self.sender = self._sender()
        self.redeliveries = self._redeliveries()
        self.reader = self._reader()

    @property
    def background(self) -> tuple[loops.Service, ...]:
        """The loops that run beside the reading of the log."""
        return (
            self.assignment,  # renews the leases, and claims and releases subscriptions
            self.recorder,  # writes checkpoints, many in one commit
            self.meter,  # adds the worker's counts to the counters that all workers share
            self.breaker,  # polls the hosts that do not answer other workers
            self.redeliveries,  # polls the dead letters to send again
        )

    def _assignment(self) -> Assignment:
        return Assignment(
            settings=self.settings,
            name=self.name,
            store=self.store,
            writes=self.writes,
            groups=self.groups,
            leases=self.leases,
            recorder=self.recorder,
            signals=self.signals,
        )

    def _gate(self) -> Gate:
        return Gate(transport=self.transport, assignment=self.assignment, breaker=self.breaker, progress=self.progress)

    def _dead_letters(self) -> DeadLetters:
        return DeadLetters(settings=self.settings, worker=self.id, writes=self.writes, signals=self.signals)

    def _sender(self) -> Sender:
        return Sender(
            settings=self.settings,
            transport=self.transport,
            gate=self.gate,
            breaker=self.breaker,
            progress=self.progress,
            meter=self.meter,
            dead_letters=self.dead_letters,
            backfill=self.backfill,
            reads=self.reads,
        )

    def _redeliveries(self) -> Redeliveries:
        return Redeliveries(
            store=self.dead_letters.store, writes=self.writes, leases=self.leases, start=self.sender.start
        )

    def _reader(self) -> Reader:
        return Reader(
            settings=self.settings,
            store=self.store,
            reads=self.reads,
            writes=self.writes,
            groups=self.groups,
            leases=self.leases,
            assignment=self.assignment,
            progress=self.progress,
            sender=self.sender,
        )

    async def run(self) -> None:
        """Deliver until `stop` is called, then finish the sends under way."""
        async with self._ready():
            logger.info("pubsubpull: the delivery worker %s has started", self.name)
            await self._warn_of_few_connections()
            await loops.run([*self.background, *self.beside, self.reader], until=self.gate.stopping.wait)
        logger.info("pubsubpull: the delivery worker %s has stopped", self.name)

    async def run_once(self) -> int:
        """Deliver the changes of now that receivers take at once; return how many were delivered."""
        async with self._ready():
            await self.assignment.run_once()
            await loops.run(self.background, until=self._catch_up)
        return self.sender.delivered

    def stop(self) -> None:
        """Start nothing more; `run` ends once the sends under way are over."""
        self.gate.stopping.set()
        for service in (*self.background, *self.beside, self.reader):
            service.stop()

    @contextlib.asynccontextmanager
    async def _ready(self) -> AsyncIterator[None]:
        """Stop at signals; at the end finish, record, and release the leases."""
        # Before any connection is open: later the process may have no descriptor left to read a file with.
        sql.preload()
        try:
            with threads.signals(self.stop):
                try:
                    yield
                finally:
                    # Also after an error: the tasks under way would go on sending.
                    self.stop()
                await self._drain()
        finally:
            await self.transport.close()
            for service in self.beside:
                await service.close()
            for database in (self.reads, self.writes, self.notices, self.backfill.database):
                await database.close()

    async def _warn_of_few_connections(self) -> None:
        """Warn if the worker may open fewer connections than there are subscriptions."""
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
        """Deliver the changes that exist at the moment of the call."""
        # Taken once: with writers about, the present of each round would never be reached.
        upto = await self.reader.present()
        while True:
            behind = await self.reader.tick(upto)
            due = clock.of(self.settings.DATABASE).now()
            held = self.leases.held.values()
            if busy := [lease.task for lease in held if lease.task and (lease.checkpoint.next_attempt or 0) <= due]:
                await asyncio.wait(busy, timeout=self.settings.POLL_INTERVAL, return_when=asyncio.FIRST_COMPLETED)
            elif not behind:
                return

    async def _drain(self) -> None:
        """Finish the sends under way within DRAIN seconds, record their checkpoints, and release all leases."""
        if tasks := self.leases.under_way():
            logger.info("pubsubpull: the delivery worker %s finishes %s notifications", self.name, len(tasks))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.DRAIN):
                if tasks := self.leases.under_way():
                    await asyncio.wait(tasks)
        # Past the limit: another worker sends these notifications again.
        for task in self.leases.under_way():
            task.cancel()
        try:
            await self.recorder.flush()
            await self.meter.flush()
            await self.reader.move_cursors(at_once=True)
            # After the flushes: once the leases are released, nothing more may be recorded.
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
