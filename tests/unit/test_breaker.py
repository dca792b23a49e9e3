"""The breaker's decisions without a database: the host of a callback, and the length of its pause."""

from __future__ import annotations

import pytest

from pubsubpull import conf
from pubsubpull.delivery import breaker
from pubsubpull.transports.base import Retry
from pubsubpull.transports.http.answers import outcome
from pubsubpull.transports.http.client import Response
from pubsubpull.transports.http.transport import endpoint


@pytest.mark.parametrize(
    ("callback", "host"),
    [
        ("https://Billing.example/x", "billing.example:443"),
        ("http://billing.example/y?z", "billing.example:80"),
        ("https://billing.example:8443/", "billing.example:8443"),
        ("http://[2001:db8::1]:90/", "2001:db8::1:90"),
        ("https://billing.example/customers/{key}", "billing.example:443"),
    ],
)
def test_callbacks_at_the_same_host_and_port_share_a_breaker(callback, host):
    assert endpoint(callback) == host


def test_a_host_is_left_alone_for_longer_each_time_up_to_the_limit():
    settings = conf.Settings(BREAKER_FAILURES=3, BREAKER_LIMIT=60, BACKOFF_FIRST=2)
    for failures, longest in ((3, 2), (4, 4), (5, 8), (8, 60), (5000, 60)):
        drawn = [breaker.pause(failures, settings) for _ in range(20)]
        assert longest / 2 <= min(drawn)
        assert max(drawn) <= longest
        assert len(set(drawn)) > 1, "hosts do not come back together"


@pytest.mark.parametrize(("status", "away"), [(500, False), (404, False), (429, False), (502, True), (503, True)])
def test_only_an_answer_from_a_gateway_says_that_the_host_is_away(status, away):
    result = outcome(Response(status=status), now=0)
    assert isinstance(result, Retry)
    assert result.away is away
