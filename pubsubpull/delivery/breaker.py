"""A circuit breaker for each callback's host, shared by all workers: one probe at a time tries a failing host."""

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
"""How often a worker reads the shared state of failing hosts, in seconds."""
PROBE_MARGIN = 5.0
"""How much longer than its time-outs a probe keeps other workers off, in seconds."""
YIELD = 0.2
"""How long a failing subscription leaves the probe to others, in seconds."""
ANSWERS_REMEMBERED = 10_000
"""How many hosts' last answers are remembered; then all are forgotten."""

logger = logging.getLogger("pubsubpull")


def pause(failures: int, settings: Settings) -> float:
    """Return how long the circuit of a host stays open after so many failures in a row, in seconds.

    With BREAKER_FAILURES of 5, 1 s at first and a limit of 60 s: at most 1, 2, 4, … 60 s from the fifth failure on.
    Half of the pause is fixed, so that the host gets rest. The other half is random, so that hosts do not come back
    together.
    """
    return backoff.delay(
        failures - settings.BREAKER_FAILURES + 1,
        first=settings.BACKOFF_FIRST,
        limit=min(settings.BREAKER_LIMIT, settings.BACKOFF_LIMIT),
        random=lambda: 0.5 + random.random() / 2,  # noqa: S311  a jitter is no secret
    )


class Breaker(loops.Service):
    """A worker's view of the hosts that do not answer.

    A host's circuit opens after BREAKER_FAILURES failures in a row. While the circuit is open, no worker sends to the
    host, except for one probe after each pause. An exchange that fails while the host answers another one does not
    count: the cause is that callback, not the host.
    """

    def __init__(self, *, settings: Settings, writes: threads.Database) -> None:
        super().__init__()
        self.settings = settings
        self.store = hosts.Store(settings.DATABASE)
        self._writes = writes
        self._failing: dict[str, tuple[hosts.FailingHost, float]] = {}
        self._changed: dict[str, asyncio.Event] = {}
        self._answered: dict[str, float] = {}
        self._probes: dict[str, float] = {}
        self._probing = asyncio.Lock()

    async def run_once(self) -> None:
        """Poll the shared state."""
        await self.poll()

    async def pause(self) -> None:
        """Wait for the next poll."""
        await asyncio.sleep(WATCH_INTERVAL)

    async def poll(self) -> None:
        """Read the failing hosts that all workers share, and close the circuits of hosts that have answered here."""
        failing = await self._writes(self.store.failing)
        now = time.monotonic()
        for name, host in list(failing.items()):
            # Ages are compared, not times: the database's clock and this process's may differ.
            if self._answered.get(name, 0.0) > now - host.began:
                await self._recovered(name)
                del failing[name]
        before, self._failing = self._failing, {name: (host, now + host.wait) for name, host in failing.items()}
        for name in list(self._changed):
            if name not in failing or name not in before or before[name][0].failures != failing[name].failures:
                self._notify(name)

    def open_circuit(self, name: str) -> hosts.FailingHost | None:
        """Return the host if its circuit is open, else None."""
        host, _ = self._failing.get(name, (None, 0.0))
        return host if host is not None and host.failures >= self.settings.BREAKER_FAILURES else None

    async def wait(self, name: str, *, failing: bool) -> float:
        """Return how long to send nothing to the host, in seconds; 0 permits a send or the probe.

        A subscription that has not failed itself goes first: its probe tells a failing host from a failing callback.
        """
        if (left := self._left(name, failing=failing)) > 0 or not self.open_circuit(name):
            return left
        async with self._probing:
            # Asked again under the lock: the task that had it before may have taken the probe.
            if (left := self._left(name, failing=failing)) > 0 or not self.open_circuit(name):
                return left
            try:
                return await self._probe(name)
            except DatabaseError as away:
                # Without the database no probe is exclusive, so none is sent.
                logger.warning("pubsubpull: the database is away (%s); %s is not tried", threads.first_line(away), name)
                return WATCH_INTERVAL

    def changed(self, name: str) -> asyncio.Event:
        """Return an event that is set when the host's circuit closes, or a probe of it has failed."""
        return self._changed.setdefault(name, asyncio.Event())

    async def give_back(self, name: str) -> None:
        """Give back a probe that was not sent."""
        if self._probes.pop(name, None):
            with contextlib.suppress(DatabaseError):  # the probe is free again anyway once its hold is over
                await self._writes(self.store.hold, name, 0.0)
                await self.poll()
            # Explicitly: the failures are as many as before, so the poll wakes no delivery that waits for the probe.
            self._notify(name)

    async def answered(self, name: str) -> None:
        """Note that the host has answered."""
        if len(self._answered) > ANSWERS_REMEMBERED:
            self._answered.clear()
        self._answered[name] = time.monotonic()
        self._probes.pop(name, None)
        if name in self._failing:
            try:
                await self._recovered(name)
            except DatabaseError:
                return  # the next poll finds the row, and that the host has answered since

    async def failed(self, name: str, *, began: float, error: str) -> None:
        """Note that an exchange with the host failed; it began at `began` by the monotonic clock."""
        # The host has answered another exchange since this one began, so the host itself is well.
        if self._answered.get(name, 0.0) > began:
            return
        # A send that was under way before the circuit opened is no probe, and says nothing new.
        probe = name in self._probes and began >= self._probes[name]
        if self.open_circuit(name) and not probe:
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
            await self.poll()
        except DatabaseError as away:
            logger.warning("pubsubpull: the database is away (%s); a failure is not counted", threads.first_line(away))
            return
        if failures == self.settings.BREAKER_FAILURES:
            logger.warning(
                "pubsubpull: %s does not answer (%s); its circuit is open: one probe at a time tries it", name, error
            )

    def _left(self, name: str, *, failing: bool) -> float:
        if self.open_circuit(name) is None:
            return 0.0
        return max(self._failing[name][1] + (YIELD if failing else 0.0) - time.monotonic(), 0.0)

    async def _probe(self, name: str) -> float:
        """Take the probe if it is free and return 0; else return how long to wait, in seconds."""
        settings = self.settings
        hold = settings.CONNECT_TIMEOUT + settings.READ_TIMEOUT + PROBE_MARGIN
        taken = await self._writes(self.store.probe, name, hold)
        await self.poll()
        if taken:
            self._probes[name] = time.monotonic()
            return 0.0
        # The two clocks may differ a little: for the database the pause may not be over yet.
        return max(self._left(name, failing=False), 0.05) if self.open_circuit(name) else 0.0

    async def _recovered(self, name: str) -> None:
        was_open = self.open_circuit(name)
        # The row goes first: if that fails, this worker still knows the host as failing, and tries again.
        await self._writes(self.store.close, name)
        self._failing.pop(name, None)
        self._notify(name)
        if was_open:
            logger.info("pubsubpull: %s answers again", name)

    def _notify(self, name: str) -> None:
        if name in self._changed:
            # Removed, for this event stays set: later waits get a new one.
            self._changed.pop(name).set()
