"""The loops of a worker: one shape for all, and a keeper that waits where the database is away."""

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
"""The first wait where the database is away, in seconds; each further wait is twice as long."""
AWAY_LIMIT = 5.0
"""The longest wait between two attempts to reach the database, in seconds."""

logger = logging.getLogger("pubsubpull")


class Service:
    """A loop: do what is due, pause, begin again, until stopped. A service says how it does the first two."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()

    async def start(self) -> None:
        """Run until stopped."""
        while not self.stopping.is_set():
            await self.run_once()
            await self.pause()

    async def run_once(self) -> Any:
        """Do what is due now."""
        raise NotImplementedError

    async def pause(self) -> None:
        """Wait until there may be more to do."""
        raise NotImplementedError

    def stop(self) -> None:
        """Begin nothing more."""
        self.stopping.set()

    async def close(self) -> None:
        """Let go of what the service has of its own."""


async def run(services: Iterable[Service], *, until: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Run services until `until` is done, or one of them fails in a way that nobody expected: that is raised."""
    services = tuple(services)
    tasks = [asyncio.create_task(keep(service), name=type(service).__name__) for service in services]
    tasks.append(asyncio.create_task(until()))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for service in services:
            service.stop()
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def keep(service: Service) -> None:
    """Run a service, and start it again where the database, or the system, was away."""
    wait = AWAY_FIRST
    while not service.stopping.is_set():
        began = time.monotonic()
        try:
            await service.start()
        except (DatabaseError, OSError) as error:
            if time.monotonic() - began > AWAY_LIMIT:
                wait = AWAY_FIRST
            reason = "the database is away" if isinstance(error, DatabaseError) else "the system refuses"
            logger.warning("pubsubpull: %s (%s); the worker waits for it", reason, threads.first_line(error))
            await asyncio.sleep(wait)
            wait = min(wait * 2, AWAY_LIMIT)
