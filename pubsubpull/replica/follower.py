"""Following a service: the loop that takes steps until it is told to stop."""

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
"""The errors by which PostgreSQL enforces a role's time-outs."""
IDLE = 1.0
"""The seconds between two checks for replicas to copy or to try again."""


class Follower:
    """Follows one service with all its local replicas.

    Any number of followers may run, on any machines: the lock on the positions lets each page be applied once.
    """

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

        `workers` is the number of threads that copy rows. `wait` is the number of seconds for which the service may
        hold a call until it has changes. `spare` is for a follower beside pushes: it pulls only after that many
        seconds without an applied page. `sizes` limits the pages. `progress` is called while rows are copied.
        `observe` is called with each applier's name and outcome. `ready` is called once, when the first replicas
        follow.
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
        """Follow until told to stop."""
        # A thread of its own: a copy may take hours, and the replicas that are copied already go on meanwhile.
        copier = threading.Thread(target=self._loop, args=(self._copy_turn,), daemon=True)
        copier.start()
        with self._prefetching():
            self._loop(self._turn)
        copier.join()

    def run_once(self) -> None:
        """Follow until there are no more changes. Raises the first `ReplicaFailed`, once the others are done."""
        failed: list[exceptions.ReplicaFailed] = []
        cohorts.enter(self.service, self._using)
        with self._known.client() as client, self._prefetching():
            while self._patiently(lambda: self.steps.copy(failed) or self.steps.step(client, failed=failed)):
                pass
        self._call_ready()
        if failed:
            raise failed[0]

    def _patiently(self, act: Callable[[], bool]) -> bool:
        """Return the result of `act`; after a time-out of the database, ask for smaller pages and return True."""
        try:
            return act()
        except OperationalError as error:
            if not self._lower_limit(error):
                raise
            return True

    def _lower_limit(self, error: Exception) -> bool:
        """Ask for smaller pages after a time-out of the database; return False if the error or the limit forbids it."""
        if not isinstance(error.__cause__, TIMEOUTS) or not self.steps.limit.lower():
            return False
        connections[self._using].close()  # Some time-outs end the session, not only the statement.
        text = "%s: a time-out of the database ended a page; the next pages have at most %s changes"
        logger.warning(text, self.service, self.steps.limit.value)
        return True

    @contextlib.contextmanager
    def _prefetching(self) -> Iterator[None]:
        with prefetch.Prefetcher(self._known, sizes=self._sizes) as prefetcher:
            self.steps.prefetcher = prefetcher
            try:
                yield
            finally:
                # Taken away before it is closed: no step may ask a closed one.
                self.steps.prefetcher = None

    def _loop(self, act: Callable[[Client], None]) -> None:
        """Call `act` until told to stop. While the service or the database is unavailable, back off."""
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
                # Before the pause: a smaller page may go through at once.
                if self._lower_limit(error):
                    continue
                # Swallowed: a follower must survive every error. It logs the error and backs off.
                failures += 1
                pause = backoff.delay(failures, first=1.0, limit=60.0, random=random.random)
                unknown = None if isinstance(error, exceptions.PubSubPullError | Error) else error
                told = services.told(self.service, error).rstrip(".")
                logger.warning("%s; again in %.1f s", told, pause, exc_info=unknown)
                connections[self._using].close()
                self.stopping.wait(pause)
        connections[self._using].close()  # Django closes connections only at the end of requests, not of threads.

    def _call_ready(self) -> None:
        if self._ready and self.steps.snapshot().cohorts():
            self._ready()
            self._ready = None

    def _copy_turn(self, _client: Client) -> None:
        if not self.steps.copy([]):
            self.stopping.wait(IDLE)

    def _turn(self, client: Client) -> None:
        """Take one step. If there is nothing to do, wait for changes or for the next attempt of a failed replica."""
        self._call_ready()
        snapshot = self.steps.snapshot()
        due = snapshot.next_attempt()
        wait = self._wait if due is None else max(0.05, min(self._wait, due))
        if snapshot.to_copy():
            wait = min(wait, IDLE)  # Replicas that are being copied need a turn soon to join the others.
        if self._spare and not snapshot.is_quiet(self._spare):
            self.stopping.wait(min(wait, IDLE))
            return
        began = time.monotonic()
        more = self.steps.step(client, wait=0.0 if self._spare else wait, snapshot=snapshot)
        if not more and time.monotonic() - began < min(wait, IDLE) / 2:
            idle = not snapshot.cohorts()
            self.stopping.wait(min(wait, IDLE) if idle or self._spare else 0.0)
