"""Records progress in the background, many at once, so that no delivery waits for a commit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pubsubpull.delivery.store import Record
from pubsubpull.subscriptions.models import SERVED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pubsubpull.delivery.lease import Held

INTERVAL = 0.03
"""How long progress is gathered before it is written, in seconds."""


class Recorder:
    """Gathers what is to be recorded.

    `write` writes records and returns the ids of those that were accepted; `tell` is called with the state that was
    recorded before and with each record that was; `lost` is called with each subscription that
    was refused, and with each that is delivered no more and so is this worker's no more.
    """

    def __init__(
        self,
        *,
        write: Callable[[list[Record]], Awaitable[set[object]]],
        tell: Callable[[str, Record], None],
        lost: Callable[[Held], None],
    ) -> None:
        self._write = write
        self._tell = tell
        self._lost = lost
        self._dirty: set[Held] = set()
        self._some = asyncio.Event()
        self._one = asyncio.Lock()

    def note(self, held: Held) -> None:
        """Have the subscription's progress recorded soon."""
        self._dirty.add(held)
        self._some.set()

    async def run(self) -> None:
        """Record for ever."""
        while True:
            await self._some.wait()
            await asyncio.sleep(INTERVAL)
            await self.flush()

    async def flush(self) -> None:
        """Record what there is now. Where that fails, it is still to be recorded."""
        # A write that has begun goes on in its thread whoever is cancelled: it must be known what came of it before
        # the next one, or its count would be added twice.
        flushing = asyncio.create_task(self._flush())
        flushing.add_done_callback(_retrieve)
        await asyncio.shield(flushing)

    async def _flush(self) -> None:
        async with self._one:
            await self._write_all()

    async def _write_all(self) -> None:
        self._some.clear()
        batch, self._dirty = self._dirty, set()
        batch = {held for held in batch if not held.dropped}
        if not batch:
            return
        counts = {held: held.delivered for held in batch}
        written = [(held, record(held)) for held in batch]
        try:
            accepted = await self._write([row for _, row in written])
        except BaseException:
            self._dirty |= batch
            self._some.set()
            raise
        for held, row in written:
            held.delivered -= counts[held]
            held.recorded_seq = held.cursor.seq
            if held.id in accepted:
                before, held.recorded_state = held.recorded_state, row.state
                self._tell(before, row)
            if held.id not in accepted or row.state not in SERVED:
                self._lost(held)


def _retrieve(flushing: asyncio.Task[None]) -> None:
    """Let nobody complain of an error that was for one who is gone: what was not written is still to be."""
    if not flushing.cancelled():
        flushing.exception()


def record(held: Held) -> Record:
    """Return how a subscription fares."""
    return Record(
        id=held.id,
        lease=held.lease,
        cursor=held.cursor.encode(),
        told=held.told,
        initial=held.initial.encode() if held.initial else "",
        state=held.state,
        attempts=held.attempts,
        failing_since=held.failing_since,
        next_attempt=held.next_attempt,
        free_at=held.free_at,
        allowed_rate=held.allowed_rate,
        last_error=held.last_error,
        last_delivered=held.last_delivered,
        delivered=held.delivered,
    )
