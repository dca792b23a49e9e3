"""The maintenance pass of a worker, beside delivery, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from django.db import Error as DatabaseError
from django.db import OperationalError, connections

from pubsubpull.base import loops, threads
from pubsubpull.operate import maintenance, retention_warnings

if TYPE_CHECKING:
    from uuid import UUID

    from pubsubpull.conf import Settings

logger = logging.getLogger("pubsubpull")


class Upkeep(loops.Service):
    """Makes a maintenance pass every MAINTAIN_INTERVAL. Of workers at the same time, one does it."""

    def __init__(self, *, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self._database = threads.Database(settings.DATABASE, "maintenance")
        self._warned: set[UUID] = set()
        self._refused = False

    async def pause(self) -> None:
        """Wait for the next pass."""
        await asyncio.sleep(self.settings.MAINTAIN_INTERVAL)

    async def close(self) -> None:
        """End the thread."""
        await self._database.close()

    async def run_once(self) -> None:
        """Make a pass. Steps beyond this role's rights are logged once, and left to the owner."""
        try:
            report = await self._database(self._pass)
        # The worker itself knows how to wait for a database that is away.
        except OperationalError:
            raise
        except DatabaseError as error:
            if not self._refused:
                logger.warning("pubsubpull: the log cannot be looked after: %s", threads.first_line(error))
            self._refused = True
            return
        if report.left and not self._refused:
            logger.warning(
                "pubsubpull: the worker's role may not do what is due (%s): run pubsubpull_maintain as %s, by cron",
                ", ".join(report.left),
                report.owner,
            )
        self._refused = bool(report.left)
        for subscription in report.lapsing:
            if subscription.pk not in self._warned:
                self._warned.add(subscription.pk)
                await self._database(retention_warnings.warn, subscription)
        self._warned &= {subscription.pk for subscription in report.lapsing}

    def _pass(self) -> maintenance.Report:
        """Do a pass; the connection is not kept until the next."""
        try:
            # The connection would lie idle for MAINTAIN_INTERVAL, and poolers count it.
            return maintenance.run(self.settings)
        finally:
            connections[self.settings.DATABASE].close()
