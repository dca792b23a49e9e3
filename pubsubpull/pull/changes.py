"""Long polling: a page of changes, waited for."""

from __future__ import annotations

import functools
import math
import threading
import time
from typing import TYPE_CHECKING

from django.db import connections

from pubsubpull.capture import feed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pubsubpull.capture.cursor import Cursor
    from pubsubpull.capture.feed import Found, Present

    Look = Callable[[], tuple[Present, Found | None]]

FIRST, LONGEST = 0.0005, 0.25
"""Seconds between two looks at the log, from the first to the longest."""
SHARE = 0.05
"""What part of the time that has been waited already is waited before the next look: after 1 s, a look each 0.05 s."""

PATIENCE = 1.0
"""The seconds after which a call looks for itself, where somebody's look does not come back."""


def page(
    after: Cursor | None,
    *,
    models: Collection[str],
    limit: int,
    wait: float,
    using: str,
    old: bool = True,
    compact: bool = False,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> feed.Page:
    """Return the first page with something in it, or what there is after `wait` seconds.

    `old` and `compact` are as in `feed.page`.
    """
    began, now, seen = clock(), None, None
    quiet = after  # the latest of this call's cursors that is of a moment at which nobody wrote
    while True:
        start = quiet if seen else after
        found = feed.page(start, models=models, limit=limit, using=using, now=now, old=old, compact=compact, found=seen)
        looked = time.monotonic()
        waited = clock() - began
        left = wait - waited
        if found.count or left <= 0:
            return found
        after, now, seen = found.cursor, None, None
        quiet = after if after.settled else quiet
        if not found.more:
            pause = min(max(FIRST, waited * SHARE), LONGEST, left)
            sleep(pause)
            look = functools.partial(
                feed.look, quiet, models=models, limit=limit, using=using, old=old, compact=compact
            )
            since = max(looked, time.monotonic() - pause / 2)
            now, seen = LOOKS.look(using, look, since=since)


class Looks:
    """Looks at the log for all calls of a process that wait: however many, together they look as often as two would.

    Not for a call within a transaction, whose snapshot may be another, nor of standbys, of which there may be several.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[str, tuple[float, Present]] = {}

    def look(self, using: str, look: Look, *, since: float) -> tuple[Present, Found | None]:
        """Return the present as somebody saw it who began to look at `since` or later; or else look.

        Where it was this call that looked, that is with what `look` found, too.

        A call's own latest look must have ended by `since`: no present may be older than the cursor that it is for.
        """
        began, latest = self._latest.get(using, (-math.inf, None))
        alone = connections[using].in_atomic_block or (latest is not None and latest.standby)
        if alone or not self._lock.acquire(timeout=PATIENCE):
            return look()
        try:
            began, latest = self._latest.get(using, (-math.inf, None))
            found = None
            if latest is None or began < since:
                began, (latest, found) = time.monotonic(), look()
                self._latest[using] = (began, latest)
            return latest, found
        finally:
            self._lock.release()


LOOKS = Looks()
