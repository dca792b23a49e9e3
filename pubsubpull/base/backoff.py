"""The wait after a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def delay(attempts: int, *, first: float, limit: float, random: Callable[[], float]) -> float:
    """Return the seconds to wait after `attempts` failed attempts (1 or more): exponential, with full jitter.

    `random` returns a number from 0 to 1. With first=1 and limit=60 the wait is drawn evenly from 0 to 1, 2, 4, 8, 16,
    32, 60, 60, … seconds. Clients that failed together do not come back together.
    """
    # Beyond 2**62 the limit applies in any case, and 2.0**1024 would overflow.
    return random() * min(limit, first * 2.0 ** min(attempts - 1, 62))
