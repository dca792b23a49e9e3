"""How the rates of the subscription and of its receiver come together."""

from __future__ import annotations

import pytest

from pubsubpull.delivery import rate_limit


@pytest.mark.parametrize(
    ("given", "next_at"),
    [
        ({"changes": 100, "notifications": 1}, None),
        ({"changes": 5, "notifications": 1, "per_second": 10}, 1000.5),
        ({"changes": 100, "notifications": 1, "per_minute": 120}, 1000.5),
        ({"changes": 3, "notifications": 3, "per_minute": 120}, 1001.5),
        ({"changes": 100, "notifications": 1, "per_minute": 120, "per_second": 10}, 1010.0),
        ({"changes": 5, "notifications": 1, "per_minute": 6, "per_second": 10}, 1010.0),
        ({"changes": 1, "notifications": 1, "per_minute": 60, "free_at": 1002.0}, 1003.0),
        ({"changes": 1, "notifications": 1, "per_minute": 60, "free_at": 900.0}, 1001.0),
    ],
)
def test_the_slower_of_the_two_rates_holds(given, next_at):
    """Changes a second are the subscription's, notifications a minute the receiver's."""
    rates = {"free_at": None, "per_second": None, "per_minute": None, **given}
    assert rate_limit.next_at(rates.pop("free_at"), now=1000.0, **rates) == next_at
