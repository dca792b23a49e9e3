"""Samples of capture and delivery, which the operators' page draws. One process takes each sample."""

from __future__ import annotations

import asyncio
import logging

from django.db import Error as DatabaseError
from django.db import OperationalError, connections

from pubsubpull.base import loops, threads
from pubsubpull.capture import clock, sql
from pubsubpull.delivery import meter
from pubsubpull.log import feed

SAMPLE_INTERVAL = 10
"""Seconds between two samples."""
KEPT_FINE = 4000
"""Seconds for which every sample is kept: an hour, and the sample that a chart of it begins with."""
COARSE = 300
"""Seconds between two samples that are kept for longer."""
KEPT_COARSE = 90_000
"""Seconds for which coarse samples are kept: a day, and the sample that a chart of it begins with."""
DETAILED = 180
"""Seconds for which a sample keeps its details: rates are those of the last minute."""

logger = logging.getLogger("pubsubpull")


def take(using: str, *, every: int = SAMPLE_INTERVAL) -> bool:
    """Take a sample, and thin out older samples; False if another process has taken the sample of this time."""
    # PostgreSQL decides: of several processes at once, the first that inserts the row of this time has taken it.
    query = sql.compose(
        "queries/samples/take",
        every=every,
        captured=feed.present(using).reached,
        name=meter.CHANGES,
        label=meter.DELIVERED_LABEL,
        writes=sql.template("queries/samples/writes"),
    )
    if not sql.run(using, query):
        return False
    sql.run(using, sql.compose("queries/samples/thin", keep=KEPT_COARSE, fine=KEPT_FINE, coarse=COARSE))
    sql.run(using, sql.compose("queries/samples/strip", detailed=DETAILED))
    return True


class Sampler(loops.Service):
    """Takes a sample every `SAMPLE_INTERVAL`, in a thread of its own."""

    def __init__(self, *, using: str) -> None:
        super().__init__()
        self._using = using
        self._database = threads.Database(using, "samples")
        self._refused = False

    async def pause(self) -> None:
        """Wait for the time of the next sample."""
        await asyncio.sleep(SAMPLE_INTERVAL - clock.of(self._using).now() % SAMPLE_INTERVAL)

    async def close(self) -> None:
        """End the thread."""
        await self._database.close()

    async def run_once(self) -> None:
        """Take a sample. If the worker's role may not, log it once."""
        try:
            await self._database(self._take)
        # The worker itself knows how to wait for a database that is away.
        except OperationalError:
            raise
        except DatabaseError as error:
            # Swallowed: delivery goes on without samples.
            if not self._refused:
                logger.warning("pubsubpull: no samples for the operators' page: %s", threads.first_line(error))
            self._refused = True
        else:
            self._refused = False

    def _take(self) -> None:
        """Take a sample, and close the connection."""
        try:
            take(self._using)
        finally:
            # It would lie idle until the next sample, and poolers count it.
            connections[self._using].close()
