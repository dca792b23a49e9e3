"""How large pages may be, and whether the log has anything that could make one too large."""

from __future__ import annotations

import time

from pubsubpull.capture import sql

PAGE = 8_000_000
"""About how many bytes of changes a page holds; one change may be larger by itself."""
FRESH = 1.0
"""How long it is taken for granted that the log has no large values, in seconds."""
RATIO = 8
"""A change takes at most so many times its text when it is stored; most take less than their text."""

_none_large: dict[str, float] = {}


def may_be_large(using: str, *, clock: float | None = None) -> bool:
    """Say whether changes have to be measured, which costs a fifth of a page's time: not where each is small."""
    now = time.monotonic() if clock is None else clock
    if now - _none_large.get(using, -FRESH) < FRESH:
        return False
    ((large,),) = sql.run(using, sql.template("queries/has_large"))
    if not large:
        _none_large[using] = now
    return bool(large)


def may_be_cut(characters: int, size: int | None) -> bool:
    """Say whether changes of so many characters may have come to the size that a page is cut at, if it is."""
    return size is not None and characters > 0 and characters * RATIO >= size
