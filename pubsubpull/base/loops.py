"""The loops of a worker: one shape for all, and a keeper that restarts them after the database was away."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from django.db import Error as DatabaseError

from pubsubpull.base import threads

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

AWAY_FIRST = 0.1
"""Seconds of the first wait while the database is away. Each further wait is twice as long."""
AWAY_LIMIT = 5.0
"""Seconds of the longest wait between two attempts to reach the database."""

logger = logging.getLogger("pubsubpull")


class Service:
    """A loop that works and pauses until it is stopped. A subclass implements `run_once` and `pause`."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()

    async def start(self) -> None:
        """Run until stopped."""
        while not self.stopping.is_set():
            await self.run_once()
            await self.pause()

    async def run_once(self) -> Any:
        """Do the work that is due now."""
        raise NotImplementedError

    async def pause(self) -> None:
        """Wait until there may be more to do."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop the loop before its next round."""
        self.stopping.set()

    async def close(self) -> None:
        """Release the resources that the service owns."""


async def run(services: Iterable[Service], *, until: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Run services until `until` returns or a service fails. Raise the error of that service, if there is one."""
    services = tuple(services)
    tasks = [asyncio.create_task(keep(service), name=type(service).__name__) for service in services]
    tasks.append(asyncio.create_task(until()))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for service in services:
            service.stop()
        # Cancelled as well: a service that pauses sees the stop only after its pause.
        for task in tasks:
            task.cancel()
        # All of them are awaited, or an error would be lost and a task would outlive its loop.
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def keep(service: Service) -> None:
    """Run a service until it is stopped. After an error of the database or the system, wait and start it again."""
    wait = AWAY_FIRST
    while not service.stopping.is_set():
        began = time.monotonic()
        try:
            await service.start()
        except (DatabaseError, OSError) as error:
            # It ran for a while since its last start: this is a new failure, and begins with a short wait again.
            if time.monotonic() - began > AWAY_LIMIT:
                wait = AWAY_FIRST
            reason = "the database is away" if isinstance(error, DatabaseError) else "the system refuses"
            logger.warning("pubsubpull: %s (%s); the worker waits for it", reason, threads.first_line(error))
            await asyncio.sleep(wait)
            wait = min(wait * 2, AWAY_LIMIT)
