"""A circuit breaker for each callback's host, shared by all workers: who does not answer is tried by one alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from typing import TYPE_CHECKING

from django.db import Error as DatabaseError

from pubsubpull.base import backoff, loops, threads
from pubsubpull.delivery import hosts

if TYPE_CHECKING:
    from pubsubpull.conf import Settings

WATCH_INTERVAL = 1.0
"""How often a worker looks at what the others know of hosts, in seconds."""
PROBE_MARGIN = 5.0
"""How much longer than its time-outs a probe keeps the others off, in seconds."""
YIELD = 0.2
"""How long who has failed itself leaves the probe to who has not, in seconds."""

logger = logging.getLogger("pubsubpull")


def pause(failures: int, settings: Settings) -> float:
    """Return how long nobody tries a host after so many failures in a row, in seconds.

    With 5 failures until it is given up, 1 s at first and a limit of 60 s: at most 1, 2, 4, … 60 s from the fifth on.
    Half of it is fixed, so that a host is left alone, the other half is drawn, so that hosts do not come back together.
    """
    return backoff.delay(
        failures - settings.BREAKER_FAILURES + 1,
        first=settings.BACKOFF_FIRST,
        limit=min(settings.BREAKER_LIMIT, settings.BACKOFF_LIMIT),
        random=lambda: 0.5 + random.random() / 2,  # noqa: S311  a jitter is no secret
    )


class Breaker(loops.Service):
    """What a worker knows of hosts that do not answer.

    A host is sick from its first failure, and given up after BREAKER_FAILURES in a row: then nobody sends to it until
    a pause is over, and then one alone, of all workers' subscriptions. An exchange that fails while the host answers
    another says nothing of the host: it is a matter of that callback.
    """

    def __init__(self, *, settings: Settings, writes: threads.Database) -> None:
        super().__init__()
        self.settings = settings
        self.store = hosts.Store(settings.DATABASE)
        self._writes = writes
        self._sick: dict[str, tuple[hosts.Sick, float]] = {}
        self._news: dict[str, asyncio.Event] = {}
        self._answered: dict[str, float] = {}
        self._probes: dict[str, float] = {}
        self._one = asyncio.Lock()

    async def run_once(self) -> None:
        """Look at what the others know."""
        await self.look()

    async def pause(self) -> None:
        """Wait for the next look."""
        await asyncio.sleep(WATCH_INTERVAL)

    async def look(self) -> None:
        """Look at what the others know; who has had an answer since the last failure says so."""
        sick = await self._writes(self.store.sick)
        now = time.monotonic()
        for name, found in list(sick.items()):
            if self._answered.get(name, 0.0) > now - found.began:
                await self._recovered(name)
                del sick[name]
        before, self._sick = self._sick, {name: (found, now + found.wait) for name, found in sick.items()}
        for name in list(self._news):
            if name not in sick or name not in before or before[name][0].failures != sick[name].failures:
                self._tell(name)

    def given_up(self, name: str) -> hosts.Sick | None:
        """Return what is known of a host that is given up, None for any other."""
        found, _ = self._sick.get(name, (None, 0.0))
        return found if found is not None and found.failures >= self.settings.BREAKER_FAILURES else None

    async def wait(self, name: str, *, failing: bool) -> float:
        """Return how long not to send to the host, in seconds; 0 gives leave to send, to one alone if it is given up.

        Who has not failed itself goes first: it can tell a sick host from a sick callback.
        """
        if (left := self._left(name, failing=failing)) > 0 or not self.given_up(name):
            return left
        async with self._one:
            # Whoever had the lock before may have taken the probe.
            if (left := self._left(name, failing=failing)) > 0 or not self.given_up(name):
                return left
            try:
                return await self._probe(name)
            except DatabaseError as away:
                logger.warning("pubsubpull: the database is away (%s); %s is not tried", threads.first_line(away), name)
                return WATCH_INTERVAL

    def news(self, name: str) -> asyncio.Event:
        """Return an event that comes when the host is well, or has been tried again."""
        return self._news.setdefault(name, asyncio.Event())

    async def give_back(self, name: str) -> None:
        """Let another have the probe that was not made."""
        if self._probes.pop(name, None):
            with contextlib.suppress(DatabaseError):
                await self._writes(self.store.hold, name, 0.0)
                await self.look()
            # The failures are as many as before, so the look has woken nobody that waits for the probe.
            self._tell(name)

    async def answered(self, name: str) -> None:
        """Note that the host has answered."""
        if len(self._answered) > 10_000:
            self._answered.clear()
        self._answered[name] = time.monotonic()
        self._probes.pop(name, None)
        if name in self._sick:
            try:
                await self._recovered(name)
            except DatabaseError:
                return  # The next look finds the row, and that the host has answered since.

    async def failed(self, name: str, *, began: float, error: str) -> None:
        """Note that an exchange with the host, begun at `began` of the monotonic clock, failed."""
        if self._answered.get(name, 0.0) > began:
            return
        # What was on its way before the host was given up says nothing new.
        probe = name in self._probes and began >= self._probes[name]
        if self.given_up(name) and not probe:
            return
        self._probes.pop(name, None)
        try:
            failures = await self._writes(
                self.store.failed,
                name,
                took=time.monotonic() - began,
                error=error,
                limit=self.settings.BREAKER_FAILURES,
                probe=probe,
                pause=lambda failures: pause(failures, self.settings),
            )
            await self.look()
        except DatabaseError as away:
            logger.warning("pubsubpull: the database is away (%s); a failure is not counted", threads.first_line(away))
            return
        if failures == self.settings.BREAKER_FAILURES:
            logger.warning("pubsubpull: %s does not answer (%s); from now on one alone tries it", name, error)

    def _left(self, name: str, *, failing: bool) -> float:
        if self.given_up(name) is None:
            return 0.0
        return max(self._sick[name][1] + (YIELD if failing else 0.0) - time.monotonic(), 0.0)

    async def _probe(self, name: str) -> float:
        """Take the probe if it is to be had; return how long to wait otherwise, in seconds."""
        settings = self.settings
        hold = settings.CONNECT_TIMEOUT + settings.READ_TIMEOUT + PROBE_MARGIN
        taken = await self._writes(self.store.probe, name, hold)
        await self.look()
        if taken:
            self._probes[name] = time.monotonic()
            return 0.0
        # Where the two clocks differ by a little, it is not yet time for the database.
        return max(self._left(name, failing=False), 0.05) if self.given_up(name) else 0.0

    async def _recovered(self, name: str) -> None:
        given_up = self.given_up(name)
        await self._writes(self.store.well, name)
        self._sick.pop(name, None)
        self._tell(name)
        if given_up:
            logger.info("pubsubpull: %s answers again", name)

    def _tell(self, name: str) -> None:
        if name in self._news:
            self._news.pop(name).set()
