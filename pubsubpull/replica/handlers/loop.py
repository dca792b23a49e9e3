"""The loop that calls local handlers until it is told to stop."""

from __future__ import annotations

import logging
import random
import threading
import time

from django.db import Error, connections

from pubsubpull import conf, exceptions
from pubsubpull.base import backoff
from pubsubpull.base.threads import first_line
from pubsubpull.log import feed
from pubsubpull.replica.handlers import positions
from pubsubpull.replica.handlers.local import Local

logger = logging.getLogger(__name__)
AWAY_LIMIT = 5.0
"""Seconds of the longest wait for a database that is away."""


class Loop:
    """Looks at the log every POLL_INTERVAL, once for all handlers. Any number may run, on any machines."""

    def __init__(self, *, using: str) -> None:
        self.stopping = threading.Event()
        self._using = using
        self._local = Local(using=using, stopping=self.stopping.is_set)

    def run(self) -> None:
        """Call handlers until told to stop. While the database is away, wait."""
        failures = 0
        while not self.stopping.is_set():
            try:
                positions.enter(self._using)
                failures = 0
                self._follow()
            except Exception as error:
                # Swallowed: the loop goes on whatever happens, and tells a person about it.
                failures += 1
                pause = backoff.delay(failures, first=0.2, limit=AWAY_LIMIT, random=random.random)
                unknown = None if isinstance(error, exceptions.PubSubPullError | Error) else error
                logger.warning("Handlers wait: %s; again in %.1f s", first_line(error), pause, exc_info=unknown)
                connections[self._using].close()
                self.stopping.wait(pause)
        # This thread's own: Django closes connections at the end of requests only.
        connections[self._using].close()

    def run_once(self) -> list[exceptions.ReplicaFailed]:
        """Call handlers until nothing is left now, also what they emit themselves; return what failed, once each."""
        positions.enter(self._using)
        # Without retries: a handler that fails each time would keep the loop from ending.
        while self._local.round(retry=False):
            pass
        self._local.record()
        return list(self._local.failed.values())

    def _follow(self) -> None:
        settings = conf.get()
        seen, looked_at = "", 0.0
        while not self.stopping.is_set():
            now = feed.present(self._using)
            cursor = now.cursor().encode()
            # The present is one short query. Positions are read where there is news, and now and then: a handler may
            # wait to be tried again.
            if cursor != seen or time.monotonic() - looked_at > settings.IDLE_INTERVAL:
                seen, looked_at = cursor, time.monotonic()
                if self._local.round(now):
                    # There may be more at the same present.
                    seen = ""
                    continue
            self.stopping.wait(settings.POLL_INTERVAL)
        self._local.record()
