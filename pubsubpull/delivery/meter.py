"""Counts what a worker does, in counters that all workers share."""

from __future__ import annotations

import asyncio
import collections
from typing import TYPE_CHECKING, Any

from pubsubpull.base import loops
from pubsubpull.capture import sql
from pubsubpull.wire import items

if TYPE_CHECKING:
    from pubsubpull.base import threads

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
"""The upper ends of the histograms' buckets, in seconds; a further one takes the rest."""
OUTCOMES = "outcomes"
EXCHANGE = "exchange"
"""How long receivers take to answer."""
DELIVERY = "delivery"
"""How old the first change of a notification is when its receiver takes it."""
CHANGES = "changes"
DELIVERED = "delivered"
"""How many changes receivers have taken."""
SUM = "sum"
REST = "+Inf"
INTERVAL = 5.0
"""How often counts are written, in seconds; a worker that is killed takes what it has counted since with it."""


class Meter(loops.Service):
    """Gathers counts, and adds them to the database's now and then."""

    def __init__(self, *, using: str, writes: threads.Database) -> None:
        super().__init__()
        self._using = using
        self._writes = writes
        self._counts: collections.Counter[tuple[str, str]] = collections.Counter()

    def exchanged(self, outcome: str, seconds: float) -> None:
        """Count an exchange with a receiver by its outcome, and how long it took."""
        self._counts[OUTCOMES, outcome] += 1
        self._observe(EXCHANGE, seconds)

    def delivered(self, item: str, *, count: int = 1, now: float) -> None:
        """Count a notification of so many changes that was taken, by the age of its first one."""
        self._counts[CHANGES, DELIVERED] += count
        written = items.written_at(item)
        if written is not None:
            self._observe(DELIVERY, max(now - written, 0.0))

    async def run_once(self) -> None:
        """Write what has been counted."""
        await self.flush()

    async def pause(self) -> None:
        """Wait while more is counted."""
        await asyncio.sleep(INTERVAL)

    async def flush(self) -> None:
        """Write what has been counted. Where that fails, it is still to be written."""
        counts, self._counts = self._counts, collections.Counter()
        try:
            if counts:
                await self._writes(add, counts, using=self._using)
        except BaseException:
            self._counts.update(counts)
            raise

    def _observe(self, name: str, seconds: float) -> None:
        self._counts[name, bucket(seconds)] += 1
        self._counts[name, SUM] += seconds  # type: ignore[assignment]  # a Counter adds floats as well


def bucket(seconds: float) -> str:
    """Return the label of the bucket that a time belongs to: 0.03 → "0.05"."""
    return next((str(end) for end in BUCKETS if seconds <= end), REST)


def add(counts: dict[tuple[str, str], Any], *, using: str) -> None:
    """Add to the counters of the database."""
    sql.run(
        using,
        sql.compose(
            "queries/delivery/count",
            name=[name for name, _ in counts],
            label=[label for _, label in counts],
            value=[float(value) for value in counts.values()],
        ),
    )
