"""Records checkpoints in the background, many at once, so that no delivery waits for a commit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pubsubpull.base import loops
from pubsubpull.subscriptions.models import SERVED

if TYPE_CHECKING:
    from pubsubpull.base import threads
    from pubsubpull.delivery.lease import Lease
    from pubsubpull.delivery.leases import Leases
    from pubsubpull.delivery.signals import Signals
    from pubsubpull.delivery.store import Store

INTERVAL = 0.03
"""How long checkpoints are gathered before they are written, in seconds."""


class Recorder(loops.Service):
    """Gathers the leases whose checkpoints are to be recorded, and records them.

    Once a checkpoint is recorded, operators are told of its state. A lease whose checkpoint was refused is dropped, and
    so is one whose subscription is delivered no more.
    """

    def __init__(self, *, store: Store, writes: threads.Database, signals: Signals, leases: Leases) -> None:
        super().__init__()
        self.store = store
        self.signals = signals
        self.leases = leases
        self._writes = writes
        self._dirty: set[Lease] = set()
        self._marked = asyncio.Event()
        self._flushing = asyncio.Lock()

    def mark(self, lease: Lease) -> None:
        """Have the lease's checkpoint recorded soon."""
        self._dirty.add(lease)
        self._marked.set()

    async def run_once(self) -> None:
        """Record what is marked now."""
        await self.flush()

    async def pause(self) -> None:
        """Wait until something is marked, and for a moment more: others are marked soon after it."""
        await self._marked.wait()
        await asyncio.sleep(INTERVAL)

    async def flush(self) -> None:
        """Record what is marked now. If that fails, it stays marked."""
        flushing = asyncio.create_task(self._flush())
        flushing.add_done_callback(_retrieve)
        # A write that has begun goes on in its thread even if this task is cancelled. The shield lets its result be
        # noted: which leases were refused, and what the database has now.
        await asyncio.shield(flushing)

    async def _flush(self) -> None:
        # One write at a time: an older checkpoint must not be noted after a newer one.
        async with self._flushing:
            await self._write()

    async def _write(self) -> None:
        self._marked.clear()
        batch, self._dirty = self._dirty, set()
        written = {lease: lease.checkpoint for lease in batch if not lease.dropped}
        if not written:
            return
        try:
            accepted = await self._writes(self.store.record, written)
        except BaseException:
            self._dirty |= written.keys()
            self._marked.set()
            raise
        for lease, checkpoint in written.items():
            before = lease.recorded
            lease.wrote(checkpoint)
            if lease.terms.id in accepted:
                self.signals.recorded(lease.terms.id, before.state, checkpoint.state, error=checkpoint.last_error)
            if lease.terms.id not in accepted or checkpoint.state not in SERVED:
                self.leases.drop(lease)


def _retrieve(flushing: asyncio.Task[None]) -> None:
    """Keep asyncio from logging an error that no task waits for any more: what was not written stays marked."""
    if not flushing.cancelled():
        flushing.exception()
