"""How long to wait after a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def delay(attempts: int, *, first: float, limit: float, random: Callable[[], float]) -> float:
    """Return the seconds to wait after so many failed attempts (1 or more): exponential, with full jitter.

    With first=1 and limit=60 the wait is drawn evenly from 0 to 1, 2, 4, 8, 16, 32, 60, 60, … seconds, so that what
    failed together does not come back together. `random` gives a number from 0 to 1.
    """
    # Beyond 2**62 the limit holds in any case, and a float would overflow at 2**1024.
    return random() * min(limit, first * 2.0 ** min(attempts - 1, 62))
