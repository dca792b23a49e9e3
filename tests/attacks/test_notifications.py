"""The receiving view against any caller, and against a service that signs invalid pages."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.test import Client

from pubsubpull.models import ReplicaState
from pubsubpull.replica import cohorts, services
from pubsubpull.replica.push import receive
from pubsubpull.wire import signing
from tests.integration.conftest import SECRETS, follow, follower, outcomes, shop, sizes  # noqa: F401  fixtures
from tests.replicas import models as here
from tests.shop import models as there

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/receive/shop/"


@pytest.fixture
def page(follower):  # noqa: F811  the fixture of this name
    """Let the replicas follow, and make a change that is yet to come; return its page."""
    follower.run_once()
    there.Customer.objects.create(name="a")
    sources = sorted({follows.source for follows in cohorts.of_service("shop")})
    cursor = ReplicaState.objects.get(name="replicas.customer").cursor
    with services.get("shop").client() as client:
        body = client.text("changes/", params={"models": ",".join(sources), "after": cursor})
    return {"subscription": receive.subscription_name(sources), "previous": cursor, **json.loads(body)}


def text(page, **changed):
    return json.dumps({**page, **changed}).encode()


def signed(body, secret=SECRETS[0], at=None, notification="msg_1"):
    return signing.headers([secret], notification=notification, timestamp=int(at or time.time()), body=body)


def send(body, headers, method="put", url=URL):
    return Client().generic(method.upper(), url, body, content_type="application/json", headers=headers)


def untouched():
    return not here.Customer.objects.exists() and not ReplicaState.objects.exclude(attempts=0).exists()


def raw(secret, notification, timestamp, body):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return base64.b64encode(hmac.digest(key, f"{notification}.{timestamp}.".encode() + body, hashlib.sha256)).decode()


def forgeries(body):
    """Give headers that no holder of the secret has made for this body."""
    good = signed(body)
    mark = good["webhook-signature"].removeprefix("v1,")
    now = int(time.time())
    private = Ed25519PrivateKey.generate()
    by_key = base64.b64encode(private.sign(f"msg_1.{now}.".encode() + body)).decode()
    empty = base64.b64encode(hmac.digest(b"", f"msg_1.{now}.".encode() + body, hashlib.sha256)).decode()
    yield from ({name: value for name, value in good.items() if name != one} for one in good)
    yield from ({**good, name: ""} for name in good)
    for signature in (
        mark, f"v1 {mark}", f"v1a,{mark}", f"v2,{mark}", f"v1,{mark[:-2]}", f"v1,{mark.swapcase()}", f"v1,{by_key}",
        f"v1a,{by_key}", f"v1,{empty}", "v1,", ",", "v1,====", "v1,\x00", f"V1,{mark}", f"v1,{mark},x", f"v1;{mark}",
        " ".join(["v1,AAAA"] * 100 + [f"v1,{mark}"]), f"v1,{raw(signing.new_secret(), 'msg_1', now, body)}",
    ):  # fmt: skip
        yield {**good, "webhook-signature": signature}
    for stamp in (
        f"{now}.0", f"+{now}", f" {now}", f"{now}e0", "-1", "0", "NaN", "9" * 400, "٣", str(now - 400), str(now + 400),
    ):  # fmt: skip
        yield {**good, "webhook-timestamp": stamp}
    for other in ("msg_2", "", f"msg_1.{now}", "msg_1 "):
        yield {**good, "webhook-id": other}
    yield {**signed(body, at=now - 400)}
    yield {**signed(body, secret=signing.new_secret())}
    # What is signed can be read as another id, time and body, where an id may have a dot.
    yield {
        "webhook-id": "x",
        "webhook-timestamp": str(now),
        "webhook-signature": f"v1,{raw(SECRETS[0], f'x.{now}', now, body)}",
    }
    yield {
        "webhook-id": f"x.{now}",
        "webhook-timestamp": str(now),
        "webhook-signature": f"v1,{raw(SECRETS[0], f'x.{now}', now, body)}",
    }


def test_a_notification_without_a_valid_signature_does_nothing(page):
    body = text(page)
    for headers in forgeries(body):
        assert send(body, headers).status_code in {400, 401}, headers
        assert untouched()
    for other in (body + b" ", b" " + body, body.replace(b'"a"', b'"b"'), body.decode().encode("utf-16"), b""):
        assert send(other, signed(body)).status_code == 401
    assert untouched()
    assert send(body, signed(body, SECRETS[1])).status_code == 204, "the second secret, during a rotation"
    assert send(body, signed(body)).status_code == 409, "the same once more"
    assert here.Customer.objects.get().name == "a"


def test_no_other_method_or_address_takes_a_page(page):
    body = text(page)
    for method in ("get", "post", "patch", "delete", "head", "trace"):
        assert send(body, {**signed(body), "X-HTTP-Method-Override": "PUT"}, method).status_code == 405
    for url in ("/receive/other/", "/receive/../receive/other/"):
        assert send(body, signed(body), url=url).status_code == 404
    assert untouched()


def items(page, **changed):
    return [{**item, **changed} for item in page["items"]]


def malformed(page):
    yield from (
        b"",
        b"null",
        b"[]",
        b"1",
        b'"x"',
        b"{}",
        b"\xff",
        b"{" * 100_000,
        b"[" * 100_000,
        b"NaN",
        b'{"a":1e999}',
    )
    yield from (b"[" * 100_000 + b"]" * 100_000, b'{"items":' * 50_000 + b"1" + b"}" * 50_000)
    for field, value in itertools.product(page, (None, 1, 1.5, [1], {"a": 1}, True)):
        if not isinstance(value, type(page[field])):
            yield text(page, **{field: value})
    for field in page:
        yield json.dumps({name: value for name, value in page.items() if name != field}).encode()
    odd = {
        "version": ["1", 1.5, 10**30, -(10**30), None, True, [1], "x"],
        "model": [None, 1, ["shop.customer"], {}],
        "key": [1, ["1"], {}, False],
        "op": ["upsert", "", None, 1, "INSERT", "insert; DROP TABLE x", ["insert"]],
        "old": [1, "x", [1], True],
        "new": [1, "x", [1], True],
    }
    for field, values in odd.items():
        yield from (text(page, items=items(page, **{field: value})) for value in values)
    yield text(page, items=[1])
    yield text(page, items=[[]])
    for escape in (r"\u0000", r"\ud800", r"\udc00", r"\\\u0000", r"\ude00\ud83d"):
        yield text(page).replace(b'"a"', f'"{escape}"'.encode())
        yield text(page, items=items(page, key="KEY")).replace(b"KEY", escape.encode())
    for number in (b"NaN", b"Infinity", b"-Infinity", b"01", b".5", b"0x1"):
        yield text(page).replace(b'"a"', number)


def test_a_signed_invalid_page_is_refused_for_good_and_changes_nothing(page):
    count = 0
    for body in malformed(page):
        answer = send(body, signed(body))
        assert answer.status_code in {400, 422}, (body[:300], answer.status_code, answer.content)
        assert untouched()
        count += 1
    assert count > 80


EVIL = ["x'); DROP TABLE shop_customer; --", '"; DROP TABLE x; --', "{x}", "%(x)s", "\\", "$$", "'", '"', "a" * 100]


def test_a_signed_page_reaches_no_other_table_column_or_row(page):
    """A replica takes over its own source's declared columns; all else in a page is passed by."""
    for evil in EVIL:
        row = {**page["items"][0]["new"], evil: evil, "is_superuser": True}
        change = [
            {**page["items"][0], "new": row},
            {**page["items"][0], "model": evil},
            {**page["items"][0], "model": "auth.user"},
        ]
        body = text(page, items=change, cursor=page["previous"], more=True)
        assert send(body, signed(body)).status_code in {204, 409}
    assert set(here.Customer.objects.values_list("name", flat=True)) == {"a"}
    assert there.Customer.objects.count() == 1


@pytest.mark.parametrize("value", [10**30, "x" * 200, {"a": [1]}, "9" * 5000])
def test_an_unfitting_value_stops_only_its_replica_and_is_shown_to_no_other_party(page, value):
    change = items(page, new={**page["items"][0]["new"], "id": value})
    body = text(page, items=change)
    assert send(body, signed(body)).status_code in {204, 409, 503}
    failing = ReplicaState.objects.exclude(attempts=0)
    assert {state.source for state in failing} <= {"shop.customer"}


def test_a_body_that_is_too_long_is_not_read(page, settings):
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "RECEIVE_LIMIT": 1000}
    body = text(page, more=False, filler="x" * 2000)
    assert send(body, signed(body)).status_code == 413
    assert untouched()
