"""Secrets at rest, their rotation, and the service's own keys."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import logging
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.core.management import CommandError, call_command
from django.db import connection
from standardwebhooks import Webhook

from pubsubpull import conf, exceptions
from pubsubpull.log import feed
from pubsubpull.models import SigningKey, Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service, signing_keys, vault
from pubsubpull.transports import keys
from pubsubpull.wire import signing
from tests.delivering import run, until
from tests.exchanges import HttpRecorder, Response
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)
CALLBACK = "http://billing.example/changes/"
BODY = {"callback": CALLBACK, "models": ["shop.customer"]}


@pytest.fixture
def consumer():
    return consumers.add("billing", ["shop.customer"], may_subscribe=True)


@pytest.fixture
def put(consumer):
    def make(name="main", **given):
        return service.put(consumer[0], name, service.SubscriptionSpec(**BODY, **given))[0]

    return make


@pytest.fixture
def call(consumer, client):
    def make(method, path, *body, **extra):
        return getattr(client, method)(
            f"/pubsubpull/{path}", *body, headers={"Authorization": f"Bearer {consumer[1]}"}, **extra
        )

    return make


def stored():
    """Return all that the database holds of subscriptions and keys, as text."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s::text FROM pubsubpull_subscription s UNION ALL SELECT k::text FROM pubsubpull_signing_key k"
        )
        return "".join(text for (text,) in cursor.fetchall())


def sent():
    """Run a worker until it has sent a notification; return it."""

    def work(_, transport):
        Customer.objects.create(name="a")
        until(lambda: transport.sent)

    transport = HttpRecorder()
    run(work, transport)
    return transport.sent[-1]


def command(*arguments):
    out = io.StringIO()
    call_command("pubsubpull_secrets", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_a_secret_is_nowhere_in_the_database_the_logs_or_the_pages(put, call, caplog):
    caplog.set_level(logging.DEBUG)
    secret = signing.new_secret()
    made = put(secret=secret)
    workers = []

    def work(worker, transport):
        Customer.objects.create(name="a")
        until(lambda: len(transport.sent) > 1)
        workers.append(repr(list(worker.leases.held.values())))

    run(work, HttpRecorder(Response(status=500)))
    wish = service.SubscriptionSpec(**BODY, secret=secret)
    shown = [
        *workers,
        repr(vault.opened(made.secrets)),
        repr(wish),
        repr(service.describe(made, feed.present())),
        call("get", "subscriptions/").content.decode(),
        command(),
    ]
    assert len(shown) == 6
    for text in (stored(), caplog.text, *shown):
        assert text
        assert secret.removeprefix(signing.HMAC_PREFIX) not in text


def test_two_secrets_sign_until_the_older_one_ends(put):
    first, second = signing.new_secret(), signing.new_secret()
    put(secret=first)
    made = put(secret=second)
    end = made.secrets[1]["until"]
    assert abs(end - time.time() - 86_400) < 60
    notification = sent()
    for secret in (first, second):
        assert Webhook(secret).verify(notification.body, dict(notification.headers))
    both = vault.opened(made.secrets)
    assert keys.valid(both, end - 1) == [second, first]
    assert keys.valid(both, end + 1) == [second]


def moment(seconds):
    return dt.datetime.fromtimestamp(time.time() + seconds, tz=dt.UTC).isoformat()


def test_a_secret_that_has_leaked_is_ended_at_once(put):
    leaked, second = signing.new_secret(), signing.new_secret()
    put(secret=leaked)
    assert len(put(secret=second, old_secret_until=moment(-1)).secrets) == 1
    headers = sent().headers
    assert headers["webhook-signature"].count("v1,") == 1


def test_an_end_is_brought_forward_and_never_put_off(put):
    put(secret=signing.new_secret())
    second = signing.new_secret()
    first = put(secret=second).secrets[1]["until"]
    assert put(secret=second, old_secret_until=moment(10 * 86400)).secrets[1]["until"] == first
    assert put(old_secret_until=moment(60)).secrets[1]["until"] < time.time() + 61
    assert len(put(old_secret_until=moment(0)).secrets) == 1


def test_an_end_that_was_set_is_not_put_off_by_another_rotation():
    one, two = signing.new_secret(), signing.new_secret()
    there = vault.added(vault.first(one), two, now=100.0, overlap=50.0)
    assert [secret["until"] for secret in there] == [None, 150.0]
    back = vault.added(there, one, now=120.0, overlap=10.0)
    assert [(secret.text, secret.until) for secret in vault.opened(back)] == [(one, None), (two, 130.0)]
    late = vault.added(there, signing.new_secret(), now=160.0, overlap=10.0)
    assert [secret["until"] for secret in late] == [None, 170.0], "what has ended takes up no place"


def test_secrets_are_encrypted_again_with_the_first_key(put, settings):
    secret = service.secret_of(put())
    put("signed", signature="v1a")
    (key,) = signing_keys.current("default")
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "SECRET_KEYS": ["new", settings.SECRET_KEY]}
    assert "2 secrets can be read" in command()
    assert "2 secrets are encrypted again" in command("--reseal")
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "SECRET_KEYS": ["new"]}
    assert service.secret_of(Subscription.objects.get(name="main")) == secret
    assert signing_keys.current("default") == [key]


def test_a_secret_whose_key_is_gone_is_said_and_nothing_is_sent_until_it_is_back(put, call, settings):
    put()
    put("signed", signature="v1a")
    signing_keys.published("default")
    before = settings.PUBSUBPULL
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "SECRET_KEYS": ["another"]}
    for arguments in ((), ("--reseal",)):
        with pytest.raises(CommandError, match="give new secrets"):
            command(*arguments)
    with pytest.raises(exceptions.SecretError):
        signing_keys.current("default")
    found = call("put", "subscriptions/main/", json.dumps(BODY)).json()
    assert (found["status"], found["field"]) == (400, "secret")

    def without(_, transport):
        Customer.objects.create(name="a")
        until(lambda: Subscription.objects.filter(state="failing").count() == 2)
        assert not transport.sent

    run(without)
    for one in Subscription.objects.all():
        assert "PUBSUBPULL['SECRET_KEYS']" in one.last_error
    settings.PUBSUBPULL = before
    run(lambda *_: until(lambda: Subscription.objects.filter(state="active", delivered=1).count() == 2))


def test_a_new_secret_takes_the_place_of_one_that_cannot_be_read(put, settings):
    put()
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "SECRET_KEYS": ["another"]}
    made = put(secret=signing.new_secret())
    assert (made.state, len(made.secrets)) == ("active", 1)
    assert sent()


def fits(public, notification):
    """Verify as a receiver in another language would: with the public key, and nothing of ours."""
    headers = notification.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + notification.body
    found = []
    for mark in headers["webhook-signature"].split():
        version, _, data = mark.partition(",")
        assert version == "v1a"
        try:
            public.verify(base64.b64decode(data), signed)
            found.append(True)
        except InvalidSignature:
            found.append(False)
    return found


def test_a_receiver_without_a_secret_verifies_by_the_public_key(put, call, client, settings):
    made = put(signature="v1a")
    assert (made.secrets, service.secret_of(made)) == ([], None)
    assert "secret" not in call("get", "subscriptions/main/").json()
    assert client.get("/pubsubpull/keys/").status_code == 401
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "PUBLIC_KEYS": "everyone"}
    (key,) = client.get("/pubsubpull/keys/").json()["keys"]
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
    notification = sent()
    assert fits(public, notification) == [True]
    lower = {name.lower(): value for name, value in notification.headers.items()}
    check = {"headers": lower, "body": notification.body, "now": time.time()}
    assert signing.verify([key["whpk"]], **check)
    assert not signing.verify([key["whpk"]], **{**check, "body": notification.body + b" "})
    assert not signing.verify(["whpk_x"], **check)
    assert not signing.verify([signing.new_secret()], **check)
    assert vault.open_(SigningKey.objects.get().sealed).removeprefix("whsk_") not in stored()


def test_a_new_key_signs_beside_the_old_one_at_once(put):
    made = put(signature="v1a")
    first = signing_keys.published("default")["keys"][0]["whpk"]
    assert "a new key: whpk_" in command("--new-key", "--overlap", "60")
    assert Subscription.objects.get(pk=made.pk).lease > made.lease, "its worker lets go of it"
    newest, older = [key["whpk"] for key in signing_keys.published("default")["keys"]]
    assert older == first != newest
    notification = sent()
    lower = {name.lower(): value for name, value in notification.headers.items()}
    for public in (newest, older):
        assert signing.verify([public], headers=lower, body=notification.body, now=time.time())
    command("--new-key", "--overlap", "0")
    assert len(signing_keys.published("default")["keys"]) == 2, "one ends now, one in a minute"


def test_an_overlap_below_nothing_is_refused():
    with pytest.raises(CommandError, match="0 or more"):
        command("--new-key", "--overlap", "-1")


def test_changing_to_signed_delivery_needs_a_secret(put):
    put(signature="v1a")
    with pytest.raises(exceptions.SubscriptionError) as caught:
        put()
    assert caught.value.field == "secret"
    assert len(put(secret=signing.new_secret()).secrets) == 1
    assert put(signature="v1a").secrets == []


def test_keys_in_wrong_settings_are_not_shown():
    ((name, reason),) = conf.problems({"SECRET_KEYS": ["hidden", 5]})
    assert (name, "hidden" in reason) == ("SECRET_KEYS", False)
