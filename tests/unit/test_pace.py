"""How the rates of the subscription and of its receiver come together."""

from __future__ import annotations

import dataclasses

import pytest

from pubsubpull.delivery import rate_limit


@dataclasses.dataclass
class Held:
    """What of a subscription decides its pace."""

    free_at: float | None = None
    max_rate: float | None = None
    allowed_rate: int | None = None
    one_by_one: bool = False


@pytest.mark.parametrize(
    ("held", "count", "next_at"),
    [
        (Held(), 100, None),
        (Held(max_rate=10), 5, 1000.5),
        (Held(allowed_rate=120), 100, 1000.5),
        (Held(allowed_rate=120, one_by_one=True), 3, 1001.5),
        (Held(allowed_rate=120, max_rate=10), 100, 1010.0),
        (Held(allowed_rate=6, max_rate=10), 5, 1010.0),
        (Held(allowed_rate=60, free_at=1002.0), 1, 1003.0),
        (Held(allowed_rate=60, free_at=900.0), 1, 1001.0),
    ],
)
def test_the_slower_of_the_two_rates_holds(held, count, next_at):
    """Changes a second are the subscription's, notifications a minute the receiver's."""
    assert rate_limit.next_at(held, count, now=1000.0) == next_at
