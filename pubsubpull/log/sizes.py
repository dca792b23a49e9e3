"""The size of pages, and whether the log has values that could make a page too large."""

from __future__ import annotations

import time

from pubsubpull.capture import sql

PAGE_BYTES = 8_000_000
"""The size of a page of changes in bytes, about; a single change may be larger."""
FRESH = 1.0
"""Seconds for which the answer that the log has no large values is kept."""
UNMEASURED = 1000
"""The most changes that need no measuring where each is small: the text of most is not much longer than 2 kB."""

_none_large: dict[str, float] = {}


def may_be_large(using: str, *, limit: int = UNMEASURED, clock: float | None = None) -> bool:
    """True if `limit` changes may be too large together. `clock` is the monotonic time in seconds, by default now."""
    # Measuring costs a fifth of a page's time, so that the frequent case goes without: few changes, all of them small.
    if limit > UNMEASURED:
        return True
    now = time.monotonic() if clock is None else clock
    if now - _none_large.get(using, -FRESH) < FRESH:
        return False
    ((large,),) = sql.run(using, sql.template("queries/feed/has_large"))
    # Only this answer is kept: a log gets its first large value at any time, and seldom loses its last.
    if not large:
        _none_large[using] = now
    return bool(large)
