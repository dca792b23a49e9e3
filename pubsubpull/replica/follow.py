"""Following a service: all rows first, then its changes, page after page."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING

from django.db import Error, connections
from django.utils import timezone

from pubsubpull import exceptions
from pubsubpull.replica import advance, copying, pages, place, services
from pubsubpull.subscribe import backoff
from pubsubpull.subscribe.threads import first_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from pubsubpull.pull.client import Client
    from pubsubpull.replica.declared import Replica
    from pubsubpull.replica.pages import Page
    from pubsubpull.replica.place import Standing

logger = logging.getLogger(__name__)


class Follower:
    """Follows one service with all the replicas of it. Any number may, on any machines: each page is applied once."""

    def __init__(
        self,
        service: str,
        *,
        using: str,
        workers: int = 2,
        wait: float = 30.0,
        progress: Callable[[copying.Progress], None] = lambda _: None,
    ) -> None:
        self.service = service
        self.stopping = threading.Event()
        self._using = using
        self._workers = workers
        self._wait = wait
        self._progress = progress
        self._known = services.get(service)

    def run(self) -> None:
        """Follow until told to stop. Whatever is away is waited for."""
        failures = 0
        while not self.stopping.is_set():
            try:
                with self._known.client() as client:
                    while not self.stopping.is_set():
                        self._turn(client)
                        failures = 0
            except copying.Stopped:
                return
            except (exceptions.PubSubPullError, Error) as error:
                failures += 1
                pause = backoff.delay(failures, first=1.0, limit=60.0, random=random.random)
                logger.warning("%s cannot be followed: %s; again in %.1f s", self.service, first_line(error), pause)
                connections[self._using].close()
                self.stopping.wait(pause)
        connections[self._using].close()

    def run_once(self) -> None:
        """Follow until there is no more now. Raises what fails; a replica that fails lets the others go on first."""
        failed: list[exceptions.ReplicaFailed] = []
        with self._known.client() as client:
            while self.once(client, failed):
                pass
        if failed:
            raise failed[0]

    def once(self, client: Client, failed: list[exceptions.ReplicaFailed] | None = None) -> bool:
        """Take one step, without waiting for changes; say whether there may be more to do."""
        place.enter(self.service, self._using)
        return self._step(client, 0.0, [] if failed is None else failed)

    def _turn(self, client: Client) -> None:
        """Take one step; where all is done, wait for what comes."""
        now = timezone.now()
        due = place.waiting(self.service, self._using, now)
        wait = self._wait if due is None else min(self._wait, due)
        place.enter(self.service, self._using)
        began = time.monotonic()
        self._step(client, wait, [])
        if not place.standings(self.service, self._using, timezone.now()):
            # Nothing waits at the service, so wait here, for a replica whose next attempt comes.
            self.stopping.wait(max(0.05, min(wait, 1.0) - (time.monotonic() - began)))

    def _step(self, client: Client, wait: float, failed: list[exceptions.ReplicaFailed]) -> bool:
        now = timezone.now()
        without = {error.name for error in failed}
        if wanted := place.to_copy(self.service, self._using, now, without=without):
            return self._guard(lambda: self._copy(wanted, client), failed)
        found = place.standings(self.service, self._using, now, without=without)
        if not found:
            return False
        main, late = found[0], found[1:]
        for standing in late:
            if self._guard(lambda standing=standing: self._catch_up(main, standing, client), failed):  # type: ignore[misc]
                return True
        return self._guard(lambda: self._advance(main, client, 0.0 if late else wait), failed)

    def _guard(self, act: Callable[[], bool], failed: list[exceptions.ReplicaFailed]) -> bool:
        """Act; a replica that fails is left to wait by itself, and the others go on."""
        try:
            return act()
        except exceptions.ReplicaFailed as error:
            wait = place.fail(error, self._using, timezone.now())
            logger.warning("Replica %s: %s; again in %.1f s", error.name, error.reason, wait)
            failed.append(error)
            return True

    def _copy(self, wanted: list[Replica], client: Client) -> bool:
        del client  # each worker has its own
        copying.copy(
            self.service,
            wanted,
            self._known.client,
            workers=self._workers,
            using=self._using,
            progress=self._progress,
            stopping=self.stopping.is_set,
        )
        return True

    def _advance(self, standing: Standing, client: Client, wait: float) -> bool:
        page = self._pull(standing, client, wait)
        if page is None:
            return True
        if page.cursor == page.previous:
            return page.more

        def following(after: str) -> Page:
            return pages.changes(client, standing.sources, after)

        last = advance.advance(standing, page, using=self._using, following=following)
        return last is None or last.more

    def _catch_up(self, main: Standing, late: Standing, client: Client) -> bool:
        """Bring replicas that stand elsewhere to where the others are; say whether anything moved."""
        late_page = self._pull(late, client, 0.0)
        if late_page is None:
            return True
        if late_page.more:
            advance.advance(late, late_page, using=self._using, following=lambda at: self._next(late, client, at))
            return True
        both = sorted({*main.sources, *late.sources})
        page = pages.changes(client, both, main.cursor)
        if page.more:
            return False
        return advance.join(main, late, late_page, page, using=self._using)

    def _next(self, standing: Standing, client: Client, after: str) -> Page:
        return pages.changes(client, standing.sources, after)

    def _pull(self, standing: Standing, client: Client, wait: float) -> Page | None:
        """Pull the page after where the replicas stand; where the log does not reach back so far, copy anew."""
        try:
            return pages.changes(client, standing.sources, standing.cursor, wait=wait)
        except exceptions.CursorExpired as error:
            logger.warning("%s: %s All rows are copied again.", self.service, error)
            place.copy_again(standing.replicas, self._using)
            return None
