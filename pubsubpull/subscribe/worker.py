"""The delivery worker: takes its share of the subscriptions, reads the log for them, and sends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import socket
import time
import uuid
from typing import TYPE_CHECKING, Any

from django.db import Error as DatabaseError

from pubsubpull import exceptions
from pubsubpull.capture import feed
from pubsubpull.subscribe import store as stores
from pubsubpull.subscribe import threads
from pubsubpull.subscribe.delivery import Delivery
from pubsubpull.subscribe.held import ROOM, Groups, Held, full
from pubsubpull.subscribe.recorder import Recorder
from pubsubpull.subscribe.transport import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from pubsubpull.capture.feed import Present
    from pubsubpull.conf import Settings
    from pubsubpull.subscribe.held import Group
    from pubsubpull.subscribe.transport import Transport

LAGGING_AT_ONCE = 4
"""How many groups of subscriptions that lag are read between two looks at the log."""
MOVE_INTERVAL = 10.0
"""How often the cursors of subscriptions that wanted nothing are recorded, in seconds."""
SETTLE_INTERVAL = 60.0
"""How often the log's settled id is moved on, in seconds."""
AWAY_LIMIT = 5.0
"""The longest wait between two attempts to reach the database, in seconds."""
HURRY = 0.2
"""The shortest time between two attempts to take subscriptions, in seconds."""

logger = logging.getLogger("pubsubpull")


def share(*, subscriptions: int, workers: int) -> int:
    """Return how many subscriptions a worker may hold: 10 for 3 workers → 4."""
    return math.ceil(subscriptions / max(workers, 1))


class Worker:
    """One delivery process. `run` until `stop`, or `run_once`."""

    def __init__(self, *, settings: Settings, name: str | None = None, transport: Transport | None = None) -> None:
        self.settings = settings
        self.id = uuid.uuid4()
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self.transport = transport or HttpTransport(connect=settings.CONNECT_TIMEOUT, read=settings.READ_TIMEOUT)
        self.store = stores.Store(using=settings.DATABASE, worker=self.id)
        self.held: dict[uuid.UUID, Held] = {}
        self.groups = Groups()

    async def run(self) -> None:
        """Deliver until `stop` is called, then finish what has begun."""
        async with self._ready():
            logger.info("pubsubpull: the delivery worker %s has started", self.name)
            await self._beside(self._keep, self.recorder.run, self._read_on, until=self.delivery.stopping.wait)
        logger.info("pubsubpull: the delivery worker %s has stopped", self.name)

    async def run_once(self) -> int:
        """Deliver what there is now, as far as it is accepted at once; return how many changes that was."""
        async with self._ready():
            await self._take_share()
            await self._beside(self._keep, self.recorder.run, until=self._catch_up)
        return self.delivery.delivered

    async def _beside(self, *loops: Callable[[], Any], until: Callable[[], Any]) -> None:
        """Run the loops until `until` is done, or one of them fails in a way that nobody expected."""
        tasks = [asyncio.create_task(self._loop(loop)) for loop in loops]
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
        look = await self._reads(self.store.look)
        while True:
            behind = await self._tick(look.present)
            due = time.time()
            if busy := [h.task for h in self.held.values() if h.task and (h.next_attempt or 0) <= due]:
                await asyncio.wait(busy, timeout=self.settings.POLL_INTERVAL, return_when=asyncio.FIRST_COMPLETED)
            elif not behind:
                return

    def stop(self) -> None:
        """Begin nothing more, and end as soon as what has begun is done."""
        self.delivery.stopping.set()
        self._wake.set()
        self._hurry.set()

    @contextlib.asynccontextmanager
    async def _ready(self) -> Any:
        """Make what belongs to a running loop; in the end finish, record, and let go."""
        self._wake, self._hurry, self._alive = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._alive_until = self._moved_at = self._settled_at = 0.0
        self._handed = 0
        self._leaving: dict[uuid.UUID, asyncio.Task[None]] = {}
        self._reads, self._writes = (threads.Database(self.settings.DATABASE, name) for name in ("reads", "writes"))
        self.recorder = Recorder(write=self._record, lost=self._drop)
        self.delivery = Delivery(
            settings=self.settings,
            transport=self.transport,
            groups=self.groups,
            note=self.recorder.note,
            room=self._room,
            alive=self._is_alive,
            present=self._present,
        )
        try:
            with threads.signals(self.stop):
                yield
                await self._drain()
        finally:
            await self.transport.close()
            for database in (self._reads, self._writes):
                await database.close()

    # What it holds

    async def _keep(self) -> None:
        """Keep the leases, and the share of the subscriptions fair."""
        while True:
            await self._take_share()
            self._hurry.clear()
            await asyncio.sleep(min(HURRY, self.settings.LEASE / 3))
            await threads.set_within(self._hurry, max(self.settings.LEASE / 3 - HURRY, 0.0))

    async def _take_share(self) -> None:
        """Say that this worker lives, drop what is no more its own, and take or release what makes its share."""
        asked = time.monotonic()
        await self._writes(self.store.renew, name=self.name, lease=self.settings.LEASE)
        await self._compare(asked)
        workers, subscriptions = await self._writes(self.store.standing)
        surplus = len(self.held) - share(subscriptions=subscriptions, workers=workers)
        if surplus > 0:
            await self._release(list(self.held.values())[-surplus:])
        elif surplus < 0:
            await self._take(await self._writes(self.store.claim, -surplus))
        if time.monotonic() - self._settled_at > SETTLE_INTERVAL:
            self._settled_at = time.monotonic()
            await self._writes(self.store.settle)

    def _is_alive(self) -> asyncio.Event:
        """Return the event of a lease that is sure; it is taken back where the lease has not been renewed in time."""
        if time.monotonic() >= self._alive_until:
            self._alive.clear()
        return self._alive

    async def _compare(self, renewed: float) -> None:
        """Drop what others have changed or taken, and what its consumer may no longer have.

        Only then are the leases sure: a worker that was not heard of for a while may have lost some before it renewed.
        """
        mine = await self._writes(self.store.mine)
        for held in list(self.held.values()):
            if mine.get(held.id) != held.lease:
                self._drop(held)
        self._alive_until = renewed + self.settings.LEASE
        self._alive.set()
        if unknown := [id_ for id_ in mine if id_ not in self.held]:
            await self._writes(self.store.release, unknown)
        if self.held:
            grants = await self._writes(self.store.grants)
            await self._release([held for held in self.held.values() if grants.get(held.consumer_id) != held.granted])

    async def _take(self, rows: list[tuple[Any, ...]]) -> None:
        broken = []
        for row in rows:
            try:
                self._hold(stores.held(row))
            except exceptions.CursorInvalid:
                broken.append(stores.broken(row))
        if broken:
            logger.error("pubsubpull: subscriptions disabled, as what is stored of them is no cursor: %s", len(broken))
            await self._writes(self.store.record, broken)

    def _hold(self, held: Held) -> None:
        if earlier := self.held.get(held.id):
            self._drop(earlier)
        held.before = self._leaving.pop(held.id, None)
        self.held[held.id] = held
        self.groups.join(held, held.cursor)
        self._wake.set()

    def _drop(self, held: Held) -> None:
        """Forget a subscription that is no more this worker's, but for what it has on its way."""
        held.dropped = True
        held.ending.set()
        self.groups.leave(held)
        if held.task:
            self._leaving[held.id] = held.task
            held.task.add_done_callback(lambda task: self._left(held.id, task))
        if self.held.get(held.id) is held:
            del self.held[held.id]

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
        await self.recorder.flush()
        for held in surplus:
            self._drop(held)
        await self._writes(self.store.release, [held.id for held in surplus])

    # What it reads

    async def _read_on(self) -> None:
        """Look at the log: every POLL_INTERVAL while there is something, less often while there is not."""
        pause = self.settings.POLL_INTERVAL
        while True:
            self._wake.clear()
            before = self._handed
            behind = await self._tick()
            await self._move_cursors()
            if behind:
                continue
            busy = self._handed != before
            pause = self.settings.POLL_INTERVAL if busy else min(pause * 1.5, self.settings.IDLE_INTERVAL)
            await threads.set_within(self._wake, pause)

    async def _tick(self, upto: Present | None = None) -> bool:
        """Look, read what is new (up to `upto`, or now) and hand it out; say whether some can read on right away."""
        look = await self._reads(self.store.look)
        if look.free or look.mine != len(self.held):
            self._hurry.set()
        now = upto or look.present
        due = self.groups.due(now)
        for group in due[: LAGGING_AT_ONCE + 1]:
            await self._read(group, now)
        return len(due) > LAGGING_AT_ONCE + 1 or self.groups.any_behind()

    async def _read(self, group: Group, now: Present) -> None:
        if not self.groups.begin(group):
            return
        cursor = group.cursor
        try:
            read = await self._reads(self.store.read, cursor, limit=ROOM, models=sorted(group.by_model), now=now)
        except exceptions.CursorExpired:
            await self._expired(group)
            return
        except BaseException:
            self.groups.put_back(group, cursor)
            raise
        handed = group.hand_out(read)
        self._handed += len(handed)
        self.groups.put_back(group, read.cursor)
        for held in full(handed):
            self.groups.leave(held)
        for held in handed:
            self.delivery.start(held)

    async def _expired(self, group: Group) -> None:
        """Disable who cannot read on, unless the cursor is only newer than the look that it was read with."""
        self.groups.put_back(group, group.cursor)
        cursor, now = group.cursor, await self._present()
        try:
            feed.check(cursor, now)
        except exceptions.CursorExpired as error:
            for held in [held for held in group.members if group.cursor == cursor]:
                self.delivery.disable(held, str(error))

    async def _present(self) -> Present:
        return await self._reads(feed.present, self.settings.DATABASE)

    def _room(self, held: Held) -> None:
        """Let a subscription read on, once it has room."""
        if held.group is None and held.read is not None and held.pending.count <= ROOM // 2:
            self.groups.join(held, held.read)
            self._wake.set()

    # What it records

    async def _record(self, records: list[stores.Record]) -> set[object]:
        return set(await self._writes(self.store.record, records))

    async def _move_cursors(self, *, at_once: bool = False) -> None:
        """Record where those are that have wanted nothing for a while."""
        if not at_once and time.monotonic() - self._moved_at < MOVE_INTERVAL:
            return
        self._moved_at = time.monotonic()
        moved: dict[Group, list[Held]] = {}
        for held in self.held.values():
            if held.at_rest and held.group is not None and held.group.cursor.seq != held.recorded_seq:
                moved.setdefault(held.group, []).append(held)
        for group, members in moved.items():
            cursor = group.cursor
            for held in members:
                held.cursor, held.recorded_seq = cursor, cursor.seq
            await self._writes(self.store.move, cursor.encode(), [(held.id, held.lease) for held in members])

    # How it ends

    async def _drain(self) -> None:
        """Finish what is on its way, within the limit; record it; let everything go."""
        if tasks := self._under_way():
            logger.info("pubsubpull: the delivery worker %s finishes %s notifications", self.name, len(tasks))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.DRAIN):
                if tasks := self._under_way():
                    await asyncio.wait(tasks)
        for task in self._under_way():
            task.cancel()
        try:
            await self.recorder.flush()
            await self._move_cursors(at_once=True)
            await self._writes(self.store.leave)
        except DatabaseError as error:
            logger.warning(
                "pubsubpull: the database is away (%s); others take over when the lease ends", threads.first_line(error)
            )

    def _under_way(self) -> list[asyncio.Task[None]]:
        return [held.task for held in self.held.values() if held.task] + list(self._leaving.values())

    async def _loop(self, work: Callable[[], Any]) -> None:
        """Do the work for ever; where the database is away, wait for it."""
        wait = 0.1
        while True:
            began = time.monotonic()
            try:
                await work()
            except DatabaseError as error:
                if time.monotonic() - began > AWAY_LIMIT:
                    wait = 0.1
                logger.warning(
                    "pubsubpull: the database is away (%s); the worker waits for it", threads.first_line(error)
                )
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
