"""Following a service: the loop that takes step after step until it is told to stop."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from typing import TYPE_CHECKING

from django.db import Error, OperationalError, connections
from psycopg import errors

from pubsubpull import exceptions
from pubsubpull.base import backoff
from pubsubpull.replica import cohorts, prefetch, services
from pubsubpull.replica.copy import ranges
from pubsubpull.replica.sizes import STANDARD_SIZES, Sizes
from pubsubpull.replica.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pubsubpull.pull.client import Client
    from pubsubpull.replica.appliers.base import Outcome

logger = logging.getLogger(__name__)
TIMEOUTS = tuple(
    getattr(errors, name)
    for name in ("QueryCanceled", "LockNotAvailable", "IdleInTransactionSessionTimeout", "TransactionTimeout")
    if hasattr(errors, name)
)
"""The errors by which PostgreSQL ends what takes longer than a role's time-outs allow."""
IDLE = 1.0
"""The seconds between two looks for replicas to copy, or to try again, if nothing else is to be done."""


class Follower:
    """Follows one service with all its replicas here. Any number may, on any machines: each page is applied once."""

    def __init__(
        self,
        service: str,
        *,
        using: str,
        workers: int = 2,
        wait: float = 30.0,
        spare: float = 0.0,
        sizes: Sizes = STANDARD_SIZES,
        progress: Callable[[ranges.Progress], None] = lambda _: None,
        observe: Callable[[str, Outcome], object] = lambda _applier, _outcome: None,
        ready: Callable[[], object] | None = None,
    ) -> None:
        """Prepare to follow a service.

        `workers` is how many copy rows at once, `wait` the seconds for which the service may hold a call until there
        is something. With `spare`, pushes do the work: only what they left for so many seconds is pulled. `sizes` is
        how much is taken at once. `progress` is called while rows are copied, `observe` with each applier's name and
        the outcome of a page, and `ready` once, when the first replicas follow.
        """
        self.service = service
        self.stopping = threading.Event()
        self._using = using
        self._wait = wait
        self._spare = spare
        self._sizes = sizes
        self._ready = ready
        self._known = services.get(service)
        self.steps = Steps(
            self._known,
            using=using,
            workers=workers,
            sizes=sizes,
            progress=progress,
            observe=observe,
            stopping=self.stopping.is_set,
            spare=bool(spare),
        )

    def run(self) -> None:
        """Follow until told to stop. While some replicas are copied, the others go on."""
        copier = threading.Thread(target=self._loop, args=(self._copy_turn,), daemon=True)
        copier.start()
        with self._prefetching():
            self._loop(self._turn)
        copier.join()

    def run_once(self) -> None:
        """Follow until there is no more now. Raises the first failure, once the replicas that do not fail are done."""
        failed: list[exceptions.ReplicaFailed] = []
        cohorts.enter(self.service, self._using)
        with self._known.client() as client, self._prefetching():
            while self._patiently(lambda: self.steps.copy(failed) or self.steps.step(client, failed=failed)):
                pass
        self._call_ready()
        if failed:
            raise failed[0]

    def _patiently(self, act: Callable[[], bool]) -> bool:
        """Act; if that takes longer than the role's time-outs allow, go on with smaller pages."""
        try:
            return act()
        except OperationalError as error:
            if not self._lower_limit(error):
                raise
            return True

    def _lower_limit(self, error: Exception) -> bool:
        """Ask for smaller pages after a time-out of the database; return True if there are smaller ones."""
        if not isinstance(error.__cause__, TIMEOUTS) or not self.steps.limit.lower():
            return False
        connections[self._using].close()  # a time-out of the session has ended it
        text = "%s: a time-out of the database ended a page; the next have %s changes"
        logger.warning(text, self.service, self.steps.limit.value)
        return True

    @contextlib.contextmanager
    def _prefetching(self) -> Iterator[None]:
        with prefetch.Prefetcher(self._known, sizes=self._sizes) as prefetcher:
            self.steps.prefetcher = prefetcher
            try:
                yield
            finally:
                self.steps.prefetcher = None

    def _loop(self, act: Callable[[Client], None]) -> None:
        """Act again and again until told to stop. While the service or the database is away, wait."""
        failures = 0
        while not self.stopping.is_set():
            try:
                cohorts.enter(self.service, self._using)
                with self._known.client() as client:
                    while not self.stopping.is_set():
                        act(client)
                        failures = 0
            except ranges.Stopped:
                break
            except Exception as error:
                if self._lower_limit(error):
                    continue
                # Swallowed: a follower goes on whatever happens, and tells a person about it.
                failures += 1
                pause = backoff.delay(failures, first=1.0, limit=60.0, random=random.random)
                unknown = None if isinstance(error, exceptions.PubSubPullError | Error) else error
                told = services.told(self.service, error).rstrip(".")
                logger.warning("%s; again in %.1f s", told, pause, exc_info=unknown)
                connections[self._using].close()
                self.stopping.wait(pause)
        connections[self._using].close()

    def _call_ready(self) -> None:
        if self._ready and self.steps.snapshot().cohorts():
            self._ready()
            self._ready = None

    def _copy_turn(self, _client: Client) -> None:
        if not self.steps.copy([]):
            self.stopping.wait(IDLE)

    def _turn(self, client: Client) -> None:
        """Take one step; if all is done, wait for changes, but not longer than until a replica is to be tried again."""
        self._call_ready()
        snapshot = self.steps.snapshot()
        due = snapshot.next_attempt()
        wait = self._wait if due is None else max(0.05, min(self._wait, due))
        if snapshot.to_copy():
            wait = min(wait, IDLE)  # the replicas that are being copied are to join soon
        if self._spare and not snapshot.is_quiet(self._spare):
            self.stopping.wait(min(wait, IDLE))
            return
        began = time.monotonic()
        more = self.steps.step(client, wait=0.0 if self._spare else wait, snapshot=snapshot)
        if not more and time.monotonic() - began < min(wait, IDLE) / 2:
            idle = not snapshot.cohorts()
            self.stopping.wait(min(wait, IDLE) if idle or self._spare else 0.0)
