"""Long polling: a page of changes, waited for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pubsubpull.capture import feed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pubsubpull.capture.cursor import Cursor

FIRST, LONGEST = 0.0005, 0.25
"""Seconds between two looks at the log, from the first to the longest."""
SHARE = 0.05
"""What part of the time that has been waited already is waited before the next look: after 1 s, a look each 0.05 s."""


def page(
    after: Cursor | None,
    *,
    models: Collection[str],
    limit: int,
    wait: float,
    using: str,
    old: bool = True,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> feed.Page:
    """Return the first page with something in it, or what there is after `wait` seconds; `old` is as in `feed.page`."""
    began = clock()
    while True:
        found = feed.page(after, models=models, limit=limit, using=using, old=old)
        waited = clock() - began
        left = wait - waited
        if found.count or left <= 0:
            return found
        after = found.cursor
        if not found.more:
            sleep(min(max(FIRST, waited * SHARE), LONGEST, left))
