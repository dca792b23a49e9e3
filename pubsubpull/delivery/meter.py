"""Metrics of delivery, in counters that all workers share."""

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
"""The upper ends of the histograms' buckets, in seconds; the bucket `REST` takes longer times."""
OUTCOMES = "outcomes"
"""How many exchanges had each outcome."""
EXCHANGE = "exchange"
"""How long receivers take to answer."""
DELIVERY = "delivery"
"""How old the first change of a notification is when its receiver takes it."""
CHANGES = "changes"
"""The counter of changes."""
DELIVERED_LABEL = "delivered"
"""The label of the changes that receivers have taken."""
SUM = "sum"
REST = "+Inf"
FLUSH_INTERVAL = 5.0
"""How often counts are written, in seconds. A killed worker loses its counts since the last write."""


class Meter(loops.Service):
    """Gathers a worker's counts, and adds them to the shared counters every few seconds."""

    def __init__(self, *, using: str, writes: threads.Database) -> None:
        super().__init__()
        self._using = using
        self._writes = writes
        self._counts: collections.Counter[tuple[str, str]] = collections.Counter()

    def exchanged(self, outcome: str, seconds: float) -> None:
        """Count an exchange with a receiver, by its outcome and its duration."""
        self._counts[OUTCOMES, outcome] += 1
        self._observe(EXCHANGE, seconds)

    def delivered(self, item: str, *, count: int = 1, now: float) -> None:
        """Count the changes of a delivered notification, and observe the age of its first change."""
        self._counts[CHANGES, DELIVERED_LABEL] += count
        written = items.written_at(item)
        if written is not None:
            self._observe(DELIVERY, max(now - written, 0.0))

    async def run_once(self) -> None:
        """Write the counts."""
        await self.flush()

    async def pause(self) -> None:
        """Wait until the next write is due."""
        await asyncio.sleep(FLUSH_INTERVAL)

    async def flush(self) -> None:
        """Write the counts. On an error, they are kept for the next write."""
        # Swapped without an await between: a count made during the write belongs to the next one.
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
    """Return the label of a duration's bucket: 0.03 → "0.05"."""
    return next((str(end) for end in BUCKETS if seconds <= end), REST)


def add(counts: dict[tuple[str, str], Any], *, using: str) -> None:
    """Add counts to the counters in the database."""
    sql.run(
        using,
        sql.compose(
            "queries/delivery/count",
            name=[name for name, _ in counts],
            label=[label for _, label in counts],
            value=[float(value) for value in counts.values()],
        ),
    )
