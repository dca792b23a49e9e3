"""Answers that count as a receiver's consent."""

from __future__ import annotations

import pytest

from pubsubpull.conf import Settings
from pubsubpull.transports.base import Ready, Retry
from pubsubpull.transports.http import consent
from pubsubpull.transports.http.client import Response


def judge(status=200, **headers):
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return consent.outcome(Response(status=status, headers=given), origin="shop.example", now=0.0)


@pytest.mark.parametrize("status", [200, 204, 302, 404, 405, 500])
@pytest.mark.parametrize("origin", ["*", "shop.example", " Shop.EXAMPLE "])
def test_the_header_is_consent_whatever_the_status(status, origin):
    assert judge(status, webhook_allowed_origin=origin) == Ready()


@pytest.mark.parametrize("status", [200, 204, 405])
@pytest.mark.parametrize(
    "origin", [None, "", "example", "evil.shop.example", "shop.example.evil", "shop.example, *", "null"]
)
def test_without_the_right_header_no_status_is_consent(status, origin):
    result = judge(status, **({} if origin is None else {"webhook_allowed_origin": origin}), allow="PUT, OPTIONS")
    assert isinstance(result, Retry)
    assert "has not consented" in result.error
    assert "must allow shop.example" in result.error
    assert ("another origin" in result.error) == bool(origin)


def test_a_retry_after_is_kept_to():
    assert judge(429, retry_after="7").after == 7.0


@pytest.mark.parametrize(
    ("said", "rate"),
    [("120", 120), ("*", None), ("0", None), ("-1", None), ("many", None), ("1.5", None), ("9" * 30, None)],
)
def test_an_allowed_rate_is_a_number_a_minute(said, rate):
    assert judge(webhook_allowed_origin="*", webhook_allowed_rate=said) == Ready(rate=rate)


@pytest.mark.parametrize(
    ("settings", "origin"),
    [
        ({"ORIGIN": "Shop.Example"}, "shop.example"),
        ({"SERVICE_NAME": "shop"}, "shop"),
        ({"SERVICE_NAME": "The Shop (new)"}, "the-shop-new"),
        ({"SERVICE_NAME": "\u5e97"}, "pubsubpull"),
    ],
)
def test_consent_is_asked_under_the_name_in_the_settings(settings, origin):
    assert consent.origin(Settings(**settings)) == origin
    assert consent.request(origin) == {"webhook-request-origin": origin}
