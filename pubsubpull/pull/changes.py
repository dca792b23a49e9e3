"""Waiting for a page of changes on the caller's own connection, within its transaction."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

from pubsubpull.log import feed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pubsubpull.log.cursor import Cursor
    from pubsubpull.log.present import Present

SHORTEST_PAUSE, LONGEST_PAUSE = 0.0005, 0.25
"""Seconds between two polls of the log, at the least and at the most."""
EMPTY_PAGES_FOR = 5.0
"""Seconds for which empty pages that lead to more changes are skipped."""
SHARE_OF_WAIT = 0.05
"""The pause before the next poll, as a part of the time waited so far: after 1 s, a poll each 0.05 s."""


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
    """Return the first page with changes, or the last empty page after `wait` seconds. Raises `CursorExpired`.

    `old` and `compact` are as in `feed.page`. With `passing`, empty pages that lead to more changes are skipped even
    without a wait.
    """
    read_page = functools.partial(feed.page, models=models, limit=limit, using=using, old=old, compact=compact)
    poll_log = functools.partial(poll, models=models, limit=limit, using=using, old=old, compact=compact)
    began = clock()
    # The latest settled cursor of this call. While another transaction is open for long, the newest cursor is not
    # settled, and only from a settled cursor does one round trip poll the log and read the page.
    quiet = after
    page = read_page(after, now=None)
    while True:
        waited = clock() - began
        left = wait - waited
        if page.count or (left <= 0 and not (passing and page.more and waited < EMPTY_PAGES_FOR)):
            return page
        after, now, polled = page.cursor, None, None
        quiet = after if after.settled else quiet
        # No pause while there is more to read: the page was empty for this reader's models alone.
        if not page.more:
            sleep(min(max(SHORTEST_PAUSE, waited * SHARE_OF_WAIT), LONGEST_PAUSE, left))
            now, polled = poll_log(quiet)
        page = polled or read_page(after, now=now)
