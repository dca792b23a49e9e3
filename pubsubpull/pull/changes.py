"""A page of changes, waited for within a transaction of the caller's, which nobody else can look for."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

from pubsubpull.log import feed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pubsubpull.log.cursor import Cursor
    from pubsubpull.log.present import Present

FIRST_PAUSE, LONGEST_WAIT = 0.0005, 0.25
"""Seconds between two looks at the log, from the first to the longest."""
PASSING = 5.0
"""For how many seconds empty pages are passed by."""
PAUSE_SHARE = 0.05
"""The pause before the next look, as a part of the time waited so far: after 1 s, a look each 0.05 s."""


def page(
    after: Cursor | None,
    *,
    models: Collection[str],
    limit: int,
    wait: float,
    using: str,
    old: bool = True,
    compact: bool = False,
    passing: bool = False,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    poll: Callable[..., tuple[Present, feed.Page | None]] = feed.poll,
) -> feed.Page:
    """Return the first page with something in it, or the page at hand after `wait` seconds.

    `old` and `compact` are as in `feed.page`. With `passing`, empty pages that lead to more are passed by in any case.
    """
    read = functools.partial(feed.page, models=models, limit=limit, using=using, old=old, compact=compact)
    look = functools.partial(poll, models=models, limit=limit, using=using, old=old, compact=compact)
    began = clock()
    quiet = after  # the latest of this call's cursors that is of a moment at which nobody wrote
    got = read(after)
    while True:
        waited = clock() - began
        left = wait - waited
        if got.count or (left <= 0 and not (passing and got.more and waited < PASSING)):
            return got
        after, now, polled = got.cursor, None, None
        quiet = after if after.settled else quiet
        if not got.more:
            sleep(min(max(FIRST_PAUSE, waited * PAUSE_SHARE), LONGEST_WAIT, left))
            now, polled = look(quiet)
        got = polled or read(after, now=now)
