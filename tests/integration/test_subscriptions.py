"""The subscriptions resource: its permissions, and the answers to bad input."""

from __future__ import annotations

import datetime
import json

import pytest
from django.test import override_settings

from pubsubpull.log import feed
from pubsubpull.log.cursor import Cursor
from pubsubpull.models import Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import lag, vault
from pubsubpull.wire import ops, signing
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
GOOD = {"callback": "https://billing.example/changes", "models": ["shop.customer"]}


@pytest.fixture
def token():
    return consumers.add("billing", ["shop.customer", "shop.order"], may_subscribe=True)[1]


@pytest.fixture
def call(client, token):
    def send(method, path="", body=None, *, token=token):
        return client.generic(
            method,
            f"/pubsubpull/subscriptions/{path}",
            data=body if isinstance(body, str) else json.dumps(body),
            content_type="application/json",
            headers={"Authorization": f"Bearer {token}"},
        )

    return send


def problem(answer, status):
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.json()


def only():
    return Subscription.objects.get()


def test_a_put_makes_a_subscription_from_now_and_shows_its_secret_once(call):
    before = feed.present().seq
    answer = call("PUT", "main/", GOOD)
    assert answer.status_code == 201
    made = answer.json()
    assert len(signing.key(made.pop("secret"))) == 32
    assert made.pop("created").endswith("Z")
    assert Cursor.decode(made.pop("cursor")).seq == before
    assert made == {
        "name": "main",
        "callback": GOOD["callback"],
        "models": ["shop.customer"],
        "ops": ["insert", "update", "delete", "truncate", "uncaptured", "event"],
        "batch": 100,
        "max_rate": None,
        "allowed_rate": None,
        "concurrency": 1,
        "format": "page",
        "signature": "v1",
        "old_secret_until": None,
        "verify": False,
        "on_failure": "block",
        "failures": 0,
        "state": "active",
        "instances": False,
        "lag": {"changes": 0, "seconds": 0.0},
        "delivered": 0,
        "last_delivered": None,
        "attempts": 0,
        "failing_since": None,
        "next_attempt": None,
        "last_error": None,
    }
    for again in (call("PUT", "main/", GOOD), call("GET", "main/")):
        assert again.status_code == 200
        assert "secret" not in again.json()
    assert "whsec" not in call("GET").content.decode()


def test_a_model_may_be_named_with_capitals_as_everywhere(call):
    assert call("PUT", "main/", {**GOOD, "models": ["Shop.Customer"]}).json()["models"] == ["shop.customer"]


def test_a_put_replaces_all_but_the_cursor_and_the_secret(call):
    call("PUT", "main/", {**GOOD, "batch": 7, "ops": ["delete"], "secret": SECRET})
    first = only()
    Customer.objects.create(name="a")
    wish = {"callback": "http://other.example:8080/x?y=1", "models": ["shop.order", "shop.order"], "paused": True}
    answer = call("PUT", "main/", wish)
    assert (answer.status_code, answer.json()["state"]) == (200, "paused")
    second = only()
    assert (second.cursor, second.last_sent_cursor, second.secrets) == (
        first.cursor,
        first.last_sent_cursor,
        first.secrets,
    )
    assert (second.batch, second.labels, len(second.ops)) == (100, ["shop.order"], len(ops.OP_NAMES))
    assert second.lease > first.lease


def secrets():
    return [secret.text for secret in vault.opened(only().secrets)]


def test_after_moves_the_cursor_only_when_given(call):
    start = feed.present().start().encode()
    cursor = call("PUT", "main/", GOOD).json()["cursor"]
    Customer.objects.create(name="a")
    assert call("PUT", "main/", GOOD).json()["cursor"] == cursor
    assert call("PUT", "main/", {**GOOD, "after": "start"}).json()["cursor"] == start
    assert call("PUT", "main/", {**GOOD, "after": cursor}).json()["cursor"] == cursor
    assert call("PUT", "main/", {**GOOD, "after": "now"}).json()["cursor"] not in {cursor, start}
    assert only().last_sent_cursor == only().cursor
    assert call("PUT", "another/", {**GOOD, "after": cursor}).json()["cursor"] == cursor


def test_a_new_secret_stands_beside_the_old_one_and_no_third(call):
    assert call("PUT", "main/", {**GOOD, "secret": SECRET}).json()["secret"] == SECRET
    second, third = signing.new_secret(), signing.new_secret()
    assert "secret" not in call("PUT", "main/", {**GOOD, "secret": second}).json()
    assert secrets() == [second, SECRET]
    before = only().secrets
    assert "old_secret_until" in call("PUT", "main/", {**GOOD, "secret": second}).json()
    assert only().secrets == before, "the same call again changes nothing"
    call("PUT", "main/", {**GOOD, "secret": third})
    assert secrets() == [third, second]


def test_a_put_ends_a_failure_and_takes_the_subscription_from_its_worker(call):
    call("PUT", "main/", GOOD)
    now = datetime.datetime.now(tz=datetime.UTC)
    Subscription.objects.update(
        state="failing",
        attempts=3,
        failing_since=now,
        next_attempt=now,
        last_error="no",
        last_delivered=now,
        worker="12345678-1234-5678-1234-567812345678",
    )
    shown = call("GET", "main/").json()
    assert (shown["state"], shown["attempts"], shown["last_error"]) == ("failing", 3, "no")
    assert shown["next_attempt"] == shown["failing_since"] == now.isoformat().replace("+00:00", "Z")
    shown = call("PUT", "main/", GOOD).json()
    assert (shown["state"], shown["attempts"], shown["last_error"]) == ("active", 0, None)
    assert shown["next_attempt"] is None
    assert shown["last_delivered"]
    assert only().worker is None


WRONG = [
    ({**GOOD, "nonsense": 1}, "nonsense"),
    ({**GOOD, "instances": 1}, "instances"),
    ({**GOOD, "instances": True, "after": "now"}, "after"),
    ({"models": ["shop.customer"]}, "callback"),
    ({**GOOD, "callback": 5}, "callback"),
    *(
        ({**GOOD, "callback": callback}, "callback")
        for callback in (
            "",
            "billing.example",
            "//billing.example/",
            "ftp://billing.example/",
            "javascript:alert(1)",
            "http://",
            "http:///path",
            "http://:80/",
            "http://user@billing.example/",
            "http://user:word@billing.example/",
            "http://@billing.example/",
            "http://billing.example:0/",
            "http://billing.example:99999/",
            "http://billing.example:x/",
            "http://[::1/",
            "http://billing.example/ x",
            "http://billing.example/\r\nX: y",
            "http://billing.example/\x00",
            "http://billing.example/#part",
            "http://bílling.example/",
            "http://billing.example/{id}",
            "http://billing.example\\@evil.example/",
            "http://billing.example/" + "x" * 2000,
        )
    ),
    ({"callback": GOOD["callback"]}, "models"),
    ({**GOOD, "models": []}, "models"),
    ({**GOOD, "models": "shop.customer"}, "models"),
    ({**GOOD, "models": [1]}, "models.0"),
    ({**GOOD, "models": ["shop.customer", "shop.nothing"]}, "models"),
    ({**GOOD, "models": ["shop.secret"]}, "models"),
    ({**GOOD, "models": ["shop.stock"]}, "models"),
    ({**GOOD, "ops": []}, "ops"),
    ({**GOOD, "ops": ["insert", "upsert"]}, "ops"),
    ({**GOOD, "ops": "insert"}, "ops"),
    ({**GOOD, "batch": 0}, "batch"),
    ({**GOOD, "batch": 1001}, "batch"),
    ({**GOOD, "format": "xml"}, "format"),
    ({**GOOD, "old_secret_until": "soon"}, "old_secret_until"),
    ({**GOOD, "old_secret_until": "2026-01-01T00:00:00"}, "old_secret_until"),
    ({**GOOD, "old_secret_until": 5}, "old_secret_until"),
    ({**GOOD, "signature": "v2"}, "signature"),
    ({**GOOD, "signature": "v1a", "secret": SECRET}, "secret"),
    ({**GOOD, "concurrency": 2}, "concurrency"),
    ({**GOOD, "callback": GOOD["callback"] + "/{key}", "concurrency": 33}, "concurrency"),
    ({**GOOD, "callback": GOOD["callback"] + "/{key}", "concurrency": 0}, "concurrency"),
    ({**GOOD, "callback": GOOD["callback"] + "/{name}"}, "callback"),
    ({**GOOD, "callback": GOOD["callback"] + "/{+key}"}, "callback"),
    ({**GOOD, "callback": GOOD["callback"] + "/{key"}, "callback"),
    ({**GOOD, "callback": "http://{key}.example/"}, "callback"),
    ({**GOOD, "callback": "{model}://a.example/"}, "callback"),
    ({**GOOD, "callback": "http://127.0.0.1:{version}/"}, "callback"),
    ({**GOOD, "batch": -1}, "batch"),
    ({**GOOD, "batch": 10**30}, "batch"),
    ({**GOOD, "batch": "10"}, "batch"),
    ({**GOOD, "batch": 1.5}, "batch"),
    ({**GOOD, "batch": True}, "batch"),
    ({**GOOD, "batch": None}, "batch"),
    ({**GOOD, "after": "then"}, "after"),
    ({**GOOD, "after": ""}, "after"),
    ({**GOOD, "after": 1}, "after"),
    ({**GOOD, "secret": "secret"}, "secret"),
    ({**GOOD, "secret": "whsec_short"}, "secret"),
    ({**GOOD, "secret": ""}, "secret"),
    ({**GOOD, "paused": "yes"}, "paused"),
    ({**GOOD, "paused": None}, "paused"),
    ({**GOOD, "verify": "yes"}, "verify"),
    *(
        ({**GOOD, "callback": callback}, "callback")
        for callback in (
            "http://10.0.0.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://2130706433/",
            "http://[::ffff:10.0.0.1]/",
            "http://8.8.8.8:22/",
        )
    ),
]


def test_bad_input_gets_a_400_that_names_the_field_and_changes_nothing(call):
    call("PUT", "main/", GOOD)
    before = Subscription.objects.values().get()
    for body, field in WRONG:
        for name in ("main", "new"):
            found = problem(call("PUT", f"{name}/", body), 400)
            assert found["field"] == field, (body, found)
            assert "whsec_short" not in found["detail"]
    assert Subscription.objects.values().get() == before


@pytest.mark.parametrize("body", ["", "no", "[]", "null", "1", '"x"', "[" * 10_000])
def test_a_body_that_is_no_json_object_gets_a_400(call, body):
    assert problem(call("PUT", "main/", body), 400)["field"] == "body"
    assert not Subscription.objects.exists()


@pytest.mark.parametrize("name", ["%20", "a%20b", ".a", "%C3%A9", "x" * 101, "a%00"])
def test_a_name_that_will_not_do_gets_a_400(call, name):
    assert problem(call("PUT", f"{name}/", GOOD), 400)["field"] == "name"


def test_a_cursor_of_another_history_gets_a_410_that_says_how_to_go_on(call):
    cursor = feed.present().cursor()
    foreign = feed.dataclasses.replace(cursor, history=cursor.history + 1).encode()
    found = problem(call("PUT", "main/", {**GOOD, "after": foreign}), 410)
    assert found["type"].endswith("cursor-expired")
    assert "instances" in found["detail"]
    assert not Subscription.objects.exists()


def test_a_consumer_sees_only_its_own(call):
    _, other = consumers.add("other", ["*"], may_subscribe=True)
    call("PUT", "main/", GOOD)
    assert call("GET", token=other).json() == {"items": [], "next": None}
    problem(call("GET", "main/", token=other), 404)
    problem(call("DELETE", "main/", token=other), 404)
    assert call("PUT", "main/", {**GOOD, "models": ["shop.stock"]}, token=other).status_code == 201
    assert [item["models"] for item in call("GET").json()["items"]] == [["shop.customer"]]
    assert call("DELETE", "main/", token=other).status_code == 204
    assert call("GET", "main/").status_code == 200


def test_without_the_grant_or_a_token_nothing_is_to_be_had(call):
    _, reader = consumers.add("reader", ["*"])
    for method, path in (("GET", ""), ("PUT", "main/"), ("GET", "main/"), ("DELETE", "main/")):
        assert problem(call(method, path, GOOD, token=reader), 403)["detail"]
        problem(call(method, path, GOOD, token="wrong"), 401)
    assert not Subscription.objects.exists()


def test_a_deleted_subscription_is_gone(call):
    call("PUT", "main/", GOOD)
    assert call("DELETE", "main/").status_code == 204
    problem(call("DELETE", "main/"), 404)
    problem(call("GET", "main/"), 404)


def test_the_lag_is_the_distance_from_the_cursor_to_the_logs_end(call):
    call("PUT", "main/", GOOD)
    for name in "abc":
        Customer.objects.create(name=name)
    lag = call("GET", "main/").json()["lag"]
    assert lag["changes"] == 3
    assert lag["seconds"] > 0


def test_the_lag_within_a_read_counts_from_the_last_change_seen(call):
    call("PUT", "main/", GOOD)
    for name in "abc":
        Customer.objects.create(name=name)
    page = feed.page(Cursor.decode(only().cursor), limit=2)
    Subscription.objects.update(cursor=page.cursor.encode())
    assert lag.of([only()], feed.present(), "default")[0].changes == 1
    Subscription.objects.update(cursor="broken")
    assert call("GET", "main/").json()["lag"] == {"changes": 0, "seconds": 0.0}


def test_a_callback_at_a_refused_address_gets_the_reason_and_the_remedy(call):
    found = problem(call("PUT", "main/", {**GOOD, "callback": "http://192.168.1.1:8080/"}), 400)
    assert found["field"] == "callback"
    assert "(private)" in found["detail"]
    assert "CALLBACK_ADDRESSES" in found["detail"]


def test_without_settings_loopback_is_refused(call):
    with override_settings(PUBSUBPULL={}):
        for host in ("127.0.0.1:8000", "localhost:8000", "[::1]:8000"):
            assert "loopback" in problem(call("PUT", "main/", {**GOOD, "callback": f"http://{host}/"}), 400)["detail"]
    assert not Subscription.objects.exists()


def test_a_subscription_whose_receiver_must_consent_begins_unverified(call):
    assert call("PUT", "main/", {**GOOD, "verify": True}).json()["state"] == "unverified"
    assert call("PUT", "main/", {**GOOD, "verify": True, "paused": True}).json()["state"] == "paused"
    assert call("PUT", "main/", {**GOOD, "verify": False}).json()["state"] == "active"
    with override_settings(PUBSUBPULL={"VERIFY": "on", "CALLBACK_HOSTS": [".example"]}):
        assert call("PUT", "main/", GOOD).json()["state"] == "unverified"
        assert call("PUT", "new/", GOOD).json()["state"] == "unverified"
        assert call("PUT", "main/", {**GOOD, "verify": False}).json()["state"] == "active"


def test_an_operator_can_require_consent_of_every_receiver(call):
    with override_settings(PUBSUBPULL={"VERIFY": "always", "CALLBACK_HOSTS": [".example"]}):
        assert problem(call("PUT", "main/", {**GOOD, "verify": False}), 400)["field"] == "verify"
        assert not Subscription.objects.exists()
        for wish in (GOOD, {**GOOD, "verify": True}):
            assert call("PUT", "main/", wish).json()["state"] == "unverified"


def test_consent_is_kept_until_the_callback_changes(call):
    wish = {**GOOD, "verify": True}
    call("PUT", "main/", wish)
    Subscription.objects.update(state="active", consented=GOOD["callback"], allowed_rate=60)
    assert call("PUT", "main/", {**wish, "batch": 7}).json()["state"] == "active"
    assert call("PUT", "main/", {**wish, "paused": True}).json()["state"] == "paused"
    again = call("PUT", "main/", wish).json()
    assert (again["state"], again["allowed_rate"]) == ("active", 60)
    other = call("PUT", "main/", {**wish, "callback": "https://other.example/"}).json()
    assert (other["state"], other["allowed_rate"]) == ("unverified", None)
    assert call("PUT", "main/", wish).json()["state"] == "unverified"
