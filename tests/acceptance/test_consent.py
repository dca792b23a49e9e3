"""Consent, asked for by real workers, of real receivers: nothing is sent before it is given."""

from __future__ import annotations

import threading

import pytest

from pubsubpull.log import feed
from pubsubpull.models import Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests.acceptance.test_delivery import DIES, Workers, add, caught_up, now, until
from tests.receivers import Receiver, serving

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def workers(tmp_path):
    found = Workers(tmp_path)
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def receiver():
    with serving(Receiver()) as found:
        yield found


@pytest.fixture
def subscribe(receiver):
    consumer = consumers.add("billing", ["shop.customer"], may_subscribe=True)[0]

    def make(**given):
        wish = {"callback": receiver.url, "models": ["shop.customer"], "verify": True, **given}
        return service.put(consumer, "main", service.SubscriptionSpec(**wish))[0]

    return make


def consenting(headers):
    return 200, {"WebHook-Allowed-Origin": headers["webhook-request-origin"]}, b""


def test_nothing_is_sent_before_the_receiver_consents_and_all_of_it_then(workers, receiver, subscribe):
    subscription = subscribe()
    workers.start()
    add("a", "b")
    until(lambda: len(receiver.asked) >= 3)
    waiting = now(subscription)
    assert (waiting.state, receiver.came) == ("unverified", [])
    assert "no WebHook-Allowed-Origin header" in until(lambda: now(subscription).last_error)
    assert receiver.asked[0]["webhook-request-origin"] == "shop"
    receiver.consent = consenting
    receiver.wait_names(["a", "b"])
    assert receiver.came[0]["previous"] == subscription.cursor
    until(lambda: now(subscription).delivered == 2)
    found = now(subscription)
    assert (found.state, found.consented, found.attempts, found.last_error) == ("active", receiver.url, 0, "")


def test_each_cause_that_consent_is_waited_for_is_logged_once(workers, receiver, subscribe):
    subscription = subscribe()
    worker = workers.start()
    until(lambda: len(receiver.asked) >= 3)
    receiver.consent = lambda _: (200, {"WebHook-Allowed-Origin": "other.example"}, b"")
    until(lambda: "another origin" in now(subscription).last_error)
    asked = len(receiver.asked)
    until(lambda: len(receiver.asked) >= asked + 3)
    told = [line for line in worker.log().splitlines() if "waits for consent" in line]
    assert ["no WebHook" in line for line in told] == [True, False]


def test_consent_once_given_is_not_asked_for_again_but_for_another_callback(workers, receiver, subscribe):
    receiver.consent = consenting
    subscription = subscribe()
    first = workers.start(**DIES)
    add("a")
    receiver.wait_names(["a"])
    until(lambda: caught_up(subscription))
    first.kill()
    first.wait()
    subscribe(batch=7)
    workers.start()
    add("b")
    receiver.wait_names(["a", "b"])
    assert len(receiver.asked) == 1
    with serving(Receiver()) as other:
        add("c")
        receiver.wait_names(["a", "b", "c"])
        until(lambda: caught_up(subscription))
        subscribe(callback=other.url)
        add("d")
        until(lambda: other.asked)
        assert not other.came
        other.consent = consenting
        other.wait_names(["d"])


def test_a_receiver_that_consents_to_another_is_not_sent_to_and_disabled_in_the_end(workers, receiver, subscribe):
    receiver.consent = lambda _: (200, {"WebHook-Allowed-Origin": "other.example"}, b"")
    subscription = subscribe()
    workers.start(DISABLE_AFTER=0.3)
    add("a")
    until(lambda: now(subscription).state == "disabled")
    assert "another origin" in now(subscription).last_error
    assert now(subscription).cursor == subscription.cursor
    assert not receiver.came
    receiver.consent = consenting
    subscribe()
    receiver.wait_names(["a"])


def test_a_receiver_that_is_away_when_it_is_asked_is_asked_again(workers, subscribe):
    with serving(Receiver()) as gone:
        port = gone.port
    subscription = subscribe(callback=f"http://127.0.0.1:{port}/callback")
    workers.start()
    until(lambda: now(subscription).attempts >= 2)
    assert now(subscription).state == "unverified"
    back = Receiver()
    back.consent = consenting
    with serving(back, port):
        until(lambda: now(subscription).state == "active")


def test_a_worker_that_asks_can_be_told_to_stop_and_another_asks_on(workers, receiver, subscribe):
    asked, go_on = threading.Event(), threading.Event()
    receiver.consent = lambda _: (asked.set(), go_on.wait(60), (405, {}, b""))[-1]
    subscription = subscribe()
    first = workers.start(DRAIN=0.3)
    assert asked.wait(60)
    first.terminate()
    assert first.wait(60) == 0
    go_on.set()
    assert now(subscription).worker is None
    receiver.consent = consenting
    workers.start()
    add("a")
    receiver.wait_names(["a"])


def test_once_asks_and_delivers(workers, receiver, subscribe):
    receiver.consent = consenting
    subscription = subscribe(after=feed.present().cursor().encode())
    add("a")
    assert workers.start("--once").wait(60) == 0
    receiver.wait_names(["a"])
    assert now(subscription).state == "active"
    assert Subscription.objects.get().delivered == 1


def test_consent_that_comes_after_the_callback_has_changed_counts_for_nothing(workers, receiver, subscribe):
    asked, go_on = threading.Event(), threading.Event()
    receiver.consent = lambda headers: (asked.set(), go_on.wait(60), consenting(headers))[-1]
    subscription = subscribe()
    workers.start(LEASE=60)
    assert asked.wait(60)
    with serving(Receiver()) as other:
        subscribe(callback=other.url)
        go_on.set()
        add("a")
        until(lambda: len(other.asked) >= 2)
        assert (now(subscription).state, now(subscription).consented) == ("unverified", "")
        assert not other.came
        other.consent = consenting
        other.wait_names(["a"])


def test_rows_that_are_there_already_wait_for_consent_too(workers, receiver, subscribe):
    add("there")
    subscription = subscribe(instances=True)
    workers.start()
    until(lambda: len(receiver.asked) >= 2)
    assert not receiver.came
    receiver.consent = consenting
    receiver.wait_names(["there"])
    until(lambda: now(subscription).state == "active")
    add("new")
    receiver.wait_names(["there", "new"])
    assert [item["op"] for page in receiver.came for item in page["items"]] == ["snapshot", "insert"]


def test_the_allowed_rate_binds_the_next_worker_too(workers, receiver, subscribe):
    receiver.consent = lambda headers: (200, {**consenting(headers)[1], "WebHook-Allowed-Rate": "30"}, b"")
    subscription = subscribe(batch=1)
    first = workers.start(**DIES)
    add("a", "b")
    receiver.wait_names(["a", "b"])
    until(lambda: now(subscription).delivered == 2)
    assert now(subscription).allowed_rate == 30
    first.kill()
    first.wait()
    add("c", "d")
    workers.start()
    receiver.wait_names(["a", "b", "c", "d"])
    times = [page["time"] for page in receiver.came]
    assert times[1] - times[0] > 1.0, "two seconds, of which the way may take some"
    assert times[3] - times[2] > 1.0
    assert len(receiver.asked) == 1
