"""How large pages may be, and whether the log has anything that could make one too large."""

from __future__ import annotations

import time

from pubsubpull.capture import sql

PAGE = 8_000_000
"""About how many bytes of changes a page holds; one change may be larger by itself."""
FRESH = 1.0
"""How long it is taken for granted that the log has no large values, in seconds."""
FEW = 1000
"""So many changes are not too large together where each is small: the text of most is not much longer than 2 kB."""

_none_large: dict[str, float] = {}


def may_be_large(using: str, *, limit: int = FEW, clock: float | None = None) -> bool:
    """Say whether so many changes have to be measured, which costs a fifth of a page's time: not few that are small."""
    if limit > FEW:
        return True
    now = time.monotonic() if clock is None else clock
    if now - _none_large.get(using, -FRESH) < FRESH:
        return False
    ((large,),) = sql.run(using, sql.template("queries/feed/has_large"))
    if not large:
        _none_large[using] = now
    return bool(large)
