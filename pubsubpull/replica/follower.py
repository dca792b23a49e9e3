"""Following a service: all rows first, then its changes, page after page."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import random
import threading
import time
from typing import TYPE_CHECKING

from django.db import Error, OperationalError, connections
from psycopg import errors

from pubsubpull import exceptions
from pubsubpull.base import backoff
from pubsubpull.capture import clock
from pubsubpull.log import expiry
from pubsubpull.replica import advance, cohorts, constraint_errors, handlers, pages, positions, prefetch, services
from pubsubpull.replica.appliers import compact
from pubsubpull.replica.copy import ranges
from pubsubpull.replica.models import Copy
from pubsubpull.replica.parking import actions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pubsubpull.pull.client import Client
    from pubsubpull.replica.cohorts import Cohort
    from pubsubpull.replica.pages import Compact, Page

logger = logging.getLogger(__name__)
TIMEOUTS = tuple(
    getattr(errors, name)
    for name in ("QueryCanceled", "LockNotAvailable", "IdleInTransactionSessionTimeout", "TransactionTimeout")
    if hasattr(errors, name)
)
"""What PostgreSQL says where a role's time-outs end what takes too long."""
LARGEST, PATIENT = 1000, 20
"""The changes of an ordinary page, and after how many smaller ones twice as many are asked for."""
IDLE = 1.0
"""How often is looked for replicas to copy, or to try again, where nothing else is to do, in seconds."""


class Follower:
    """Follows one service with all the replicas of it. Any number may, on any machines: each page is applied once.

    `workers` is how many copy rows at once, `wait` how long the service may hold a call until there is something.
    With `spare`, pushes do the work: only what they left for so many seconds is pulled. `ready` is called once, when
    the first replicas follow.
    """

    def __init__(
        self,
        service: str,
        *,
        using: str,
        workers: int = 2,
        wait: float = 30.0,
        spare: float = 0.0,
        progress: Callable[[ranges.Progress], None] = lambda _: None,
        ready: Callable[[], object] | None = None,
    ) -> None:
        self.service = service
        self.stopping = threading.Event()
        self._using = using
        self._workers = workers
        self._wait = wait
        self._spare = spare
        self._progress = progress
        self._ready = ready
        self._known = services.get(service)
        self._ahead: prefetch.Prefetcher | None = None
        self._limit: int | None = None
        self._taken = 0

    def run(self) -> None:
        """Follow until told to stop. While some replicas are copied, the others go on."""
        copier = threading.Thread(target=self._loop, args=(self._copy_turn,), daemon=True)
        copier.start()
        with self._pulling_ahead():
            self._loop(self._turn)
        copier.join()

    def run_once(self) -> None:
        """Follow until there is no more now. Raises what fails; a replica that fails lets the others go on first."""
        failed: list[exceptions.ReplicaFailed] = []
        cohorts.enter(self.service, self._using)
        with self._known.client() as client, self._pulling_ahead():
            while self._patiently(lambda: self.copy(failed) or self.step(client, failed=failed)):
                pass
        self._begin()
        if failed:
            raise failed[0]

    def _patiently(self, act: Callable[[], bool]) -> bool:
        """Act; where it took longer than the role's time-outs allow, go on with smaller pages."""
        try:
            return act()
        except OperationalError as error:
            if not self._smaller(error):
                raise
            return True

    def _smaller(self, error: Exception) -> bool:
        """Ask for smaller pages after a time-out; say whether there are smaller ones."""
        if not isinstance(error.__cause__, TIMEOUTS) or self._limit == 1:
            return False
        self._limit, self._taken = max(1, (self._limit or LARGEST) // 4), 0
        connections[self._using].close()
        told = "%s: a time-out of the database ended a page; the next have %s changes"
        logger.warning(told, self.service, self._limit)
        return True

    def _larger(self) -> None:
        """Ask for larger pages again, some time after a time-out."""
        self._taken += 1
        if self._limit is not None and self._taken >= PATIENT:
            self._limit, self._taken = self._limit * 2 if self._limit < LARGEST // 2 else None, 0

    @contextlib.contextmanager
    def _pulling_ahead(self) -> Iterator[None]:
        with prefetch.Prefetcher(self._known) as pulling:
            self._ahead = pulling
            try:
                yield
            finally:
                self._ahead = None

    def copy(self, failed: list[exceptions.ReplicaFailed]) -> bool:
        """Copy what has no rows yet, or must have them anew; say whether there was anything."""
        wanted = self._look().to_copy(without=[error.name for error in failed])
        if wanted is None:
            return False
        try:
            return self._guard(functools.partial(self._copy, wanted), failed)
        except exceptions.CursorExpired:
            self._begin_anew(wanted)
            return True

    def step(
        self,
        client: Client,
        *,
        wait: float = 0.0,
        failed: list[exceptions.ReplicaFailed] | None = None,
        look: cohorts.Snapshot | None = None,
    ) -> bool:
        """Take one step after the changes; say whether there may be more to do at once."""
        failed = [] if failed is None else failed
        found = (look or self._look()).cohorts(without=[error.name for error in failed])
        lates = [late for late in found[1:] if late.cursor != found[0].cursor]
        for late in lates:
            if self._guard(functools.partial(self.catch_up, found, late, client), failed):
                return True
        if not found:
            return False
        return self._guard(functools.partial(self._advance, found[0], client, 0.0 if lates else wait), failed)

    def _look(self) -> cohorts.Snapshot:
        return cohorts.snapshot(self.service, self._using, clock.moment(self._using))

    def catch_up(self, found: Sequence[Cohort], late: Cohort, client: Client) -> bool:
        """Bring replicas that stand elsewhere to where the first of all are; say whether there is more to do for them.

        Far behind, they go page by page, unless what they refer to is known to others only: then all meet at once.
        """
        page = self._pull(late, client, 0.0)
        if page is None:
            return True
        try:
            if page.more:
                return advance.advance(late, page, using=self._using) is not None
            return self._meet(found[0], [late], client)
        except exceptions.ReplicaFailed as error:
            here = {replica.name for cohort in found for replica in cohort.replicas}
            waits = error.needs is not None and error.needs not in here  # to meet without it would be in vain
            if waits or not constraint_errors.lacks_row(error) or (len(found) == 2 and not page.more):
                raise
        return self._meet(found[0], found[1:], client)

    def _meet(self, main: Cohort, lates: Sequence[Cohort], client: Client) -> bool:
        coming = [advance.Late(cohort=late, start=late.cursor) for late in lates]
        try:
            with advance.meeting(main, coming, functools.partial(pages.changes, client)) as meeting:
                advance.join(meeting, using=self._using)
        except exceptions.CursorExpired:
            return False  # whose it is finds it in their own turn
        return True

    def _loop(self, act: Callable[[Client], None]) -> None:
        """Act again and again until told to stop. Whatever is away is waited for."""
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
                if self._smaller(error):
                    continue
                failures += 1
                pause = backoff.delay(failures, first=1.0, limit=60.0, random=random.random)
                unknown = None if isinstance(error, exceptions.PubSubPullError | Error) else error
                told = services.told(self.service, error).rstrip(".")
                logger.warning("%s; again in %.1f s", told, pause, exc_info=unknown)
                connections[self._using].close()
                self.stopping.wait(pause)
        connections[self._using].close()

    def _begin(self) -> None:
        """Call what waits for the first replicas to follow."""
        if self._ready and self._look().cohorts():
            self._ready()
            self._ready = None

    def _copy_turn(self, _client: Client) -> None:
        if not self.copy([]):
            self.stopping.wait(IDLE)

    def _turn(self, client: Client) -> None:
        """Take one step; where all is done, wait for what comes, but not longer than until a replica is to be tried."""
        self._begin()
        look = self._look()
        due = look.next_attempt()
        wait = self._wait if due is None else max(0.05, min(self._wait, due))
        if look.to_copy():
            wait = min(wait, IDLE)  # what is being copied is to join soon
        if self._spare and not look.is_quiet(self._spare):
            self.stopping.wait(min(wait, IDLE))
            return
        began = time.monotonic()
        more = self.step(client, wait=0.0 if self._spare else wait, look=look)
        if not more and time.monotonic() - began < min(wait, IDLE) / 2:
            idle = not look.cohorts()
            self.stopping.wait(min(wait, IDLE) if idle or self._spare else 0.0)

    def _guard(self, act: Callable[[], bool], failed: list[exceptions.ReplicaFailed]) -> bool:
        """Act; a replica that fails is left to wait by itself, and the others go on."""
        try:
            return act()
        except exceptions.ReplicaFailed as error:
            wait = positions.fail(error, self._using, clock.moment(self._using))
            if actions.is_due(error, self._using) and self._park(error.name):
                return True
            logger.warning("Replica %s: %s; again in %.1f s", error.name, error.reason, wait)
            failed.append(error)
            return True

    def _park(self, name: str) -> bool:
        """Set aside what a replica cannot take, as its declaration says; say whether it goes on."""
        try:
            with self._known.client() as client:
                return actions.park(name, client, using=self._using) is not None
        except exceptions.ReplicaError as error:
            logger.warning("%s", error)
            return False

    def _copy(self, wanted: Cohort) -> bool:
        ranges.copy(
            wanted,
            self._known.client,
            workers=self._workers,
            using=self._using,
            progress=self._progress,
            stopping=self.stopping.is_set,
        )
        return True

    def _advance(self, cohort: Cohort, client: Client, wait: float) -> bool:
        """Apply page after page, for a while, as long as some come; say whether there may be more."""
        end, came = time.monotonic() + IDLE, False
        while True:
            page = self._pull_ahead(cohort, client, wait)
            if page is None or page.cursor == page.previous:
                return page is None or page.more or came
            if page.empty and self._spare:
                return page.more or came  # where pushes go on from stays where it is
            last = self._apply(cohort, page, client)
            came = came or not page.empty
            self._larger()
            if last is None or (last.empty and not last.more) or time.monotonic() > end or self.stopping.is_set():
                return last is None or last.more or came
            cohort = dataclasses.replace(cohort, cursor=last.cursor)

    def _apply(self, cohort: Cohort, page: Page | Compact, client: Client) -> Page | Compact | None:
        """Apply a page, a compact one in one go where that can be; return the last that was applied."""
        if isinstance(page, pages.Compact):
            try:
                more = functools.partial(pages.compact, client, cohort.sources)
                return compact.advance(cohort, page, using=self._using, following=more)
            except compact.NotPlain as error:
                logger.debug("%s: the page after %s is pulled whole", self.service, page.previous, exc_info=error)
                if self._ahead:
                    self._ahead.whole()
            whole = self._pull(cohort, client)
            if whole is None:
                return None
            page = whole
        following = functools.partial(pages.changes, client, cohort.sources, old=handlers.any_of(self.service))
        return advance.advance(cohort, page, using=self._using, following=following)

    def _pull(self, cohort: Cohort, client: Client, wait: float = 0.0) -> Page | None:
        """Pull the page after where the replicas stand; where the log does not reach back so far, copy anew."""
        old = handlers.any_of(self.service)
        try:
            return pages.changes(
                client, cohort.sources, cohort.cursor, wait=wait, old=old, **prefetch.bound(self._limit)
            )
        except exceptions.CursorExpired as error:
            self._expired(cohort, error)
            return None

    def _pull_ahead(self, cohort: Cohort, client: Client, wait: float) -> Page | Compact | None:
        """Pull as `_pull` does, but the next page ahead; where that will do, a compact one."""
        if self._ahead is None:
            return self._pull(cohort, client, wait)
        old, short = handlers.any_of(self.service), compact.fits(cohort)
        try:
            return self._ahead.changes(
                client, cohort.sources, cohort.cursor, wait=wait, old=old, compact=short, limit=self._limit
            )
        except exceptions.CursorExpired as error:
            self._expired(cohort, error)
            return None

    def _begin_anew(self, wanted: Cohort) -> None:
        """Forget a copy, whose changes or those of the replicas that it was to meet with are there no more."""
        Copy.objects.using(self._using).filter(service=self.service).delete()
        names = [replica.name for replica in wanted.replicas]
        others = self._look().to_join(names)
        with self._known.client() as client:
            for cohort in [wanted] * bool(wanted.cursor) + others:
                self._pull(cohort, client, 0.0)

    def _expired(self, cohort: Cohort, error: exceptions.CursorExpired) -> None:
        why = str(error).removesuffix(expiry.EXPIRED).strip()  # the advice is for who pulls by hand
        names = ", ".join(replica.name for replica in cohort.replicas)
        logger.warning("%s: %s All rows of %s are copied again, without a word to handlers.", self.service, why, names)
        positions.copy_again(cohort.replicas, self._using, expired=True)
