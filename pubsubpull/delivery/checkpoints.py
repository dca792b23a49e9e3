"""The recorder of checkpoints: writes many in one commit, in the background, so that no delivery waits for one."""

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

GATHER_TIME = 0.03
"""How long checkpoints are gathered before they are written together, in seconds."""


class Recorder(loops.Service):
    """Writes the checkpoints of marked leases, and sends the signals of recorded states.

    A lease is dropped if its checkpoint is refused, or if its subscription is no longer served.
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
        """Mark a lease: its checkpoint is recorded soon."""
        self._dirty.add(lease)
        self._marked.set()

    async def run_once(self) -> None:
        """Record the checkpoints of the marked leases."""
        await self.flush()

    async def pause(self) -> None:
        """Wait until a lease is marked, and then GATHER_TIME for others."""
        await self._marked.wait()
        await asyncio.sleep(GATHER_TIME)

    async def flush(self) -> None:
        """Record the checkpoints of the marked leases. On an error, they stay marked."""
        flushing = asyncio.create_task(self._flush())
        flushing.add_done_callback(_retrieve)
        # The shield: a write goes on in its thread even if this task is cancelled, and its result must be noted, since
        # it tells which leases are lost and which checkpoints the database has.
        await asyncio.shield(flushing)

    async def _flush(self) -> None:
        # One write at a time: an older checkpoint must not be noted after a newer one.
        async with self._flushing:
            await self._write()

    async def _write(self) -> None:
        # Cleared and swapped without an await between: a lease marked from now on belongs to the next write.
        self._marked.clear()
        batch, self._dirty = self._dirty, set()
        # The checkpoints as they are now, for a lease goes on while they are written.
        written = {lease: lease.checkpoint for lease in batch if not lease.dropped}
        if not written:
            return
        try:
            accepted = await self._writes(self.store.record, written)
        except BaseException:
            # A cancellation, too: what was not written must be marked again, or the final flush would miss it.
            self._dirty |= written.keys()
            self._marked.set()
            raise
        for lease, checkpoint in written.items():
            before = lease.recorded
            lease.wrote(checkpoint)
            # Signals only follow a commit: a handler that reads the database finds the state it is told of.
            if lease.terms.id in accepted:
                self.signals.recorded(lease.terms.id, before.state, checkpoint.state, error=checkpoint.last_error)
            if lease.terms.id not in accepted or checkpoint.state not in SERVED:
                self.leases.drop(lease)


def _retrieve(flushing: asyncio.Task[None]) -> None:
    """Retrieve the error, so that asyncio does not log it where no task waits any more: the leases stay marked."""
    if not flushing.cancelled():
        flushing.exception()
