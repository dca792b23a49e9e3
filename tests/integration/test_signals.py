"""Signals for operators: sent by the worker once their event is in the database."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from django.db import connection

from pubsubpull import exceptions
from pubsubpull.delivery import signals
from pubsubpull.models import Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests.delivering import run, until
from tests.exchanges import HttpRecorder, Response
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)
ALL = {
    name: getattr(signals, name)
    for name in ("subscription_failing", "subscription_recovered", "subscription_disabled", "change_set_aside")
}


@pytest.fixture
def heard():
    """Record each signal, with the state in the database at that time."""
    found = []

    def listen(name):
        def receiver(sender, subscription, error, signal, **given):
            assert sender is Subscription
            found.append((name, subscription.state, subscription.consumer.name, error, given))

        return receiver

    with contextlib.ExitStack() as stack:
        for name, signal in ALL.items():
            receiver = listen(name)
            signal.connect(receiver, weak=False)
            stack.callback(signal.disconnect, receiver)
        yield found


@pytest.fixture
def subscribe():
    consumer, _ = consumers.add("billing", ["shop.customer"], may_subscribe=True)

    def make(name="main", **given):
        wish = service.SubscriptionSpec(**{"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], **given})
        return service.put(consumer, name, wish)[0]

    return make


def names(heard):
    return [name for name, *_ in heard]


def test_a_signal_is_sent_when_it_begins_to_fail_and_when_it_recovers(subscribe, heard):
    subscribe()
    Customer.objects.create(name="a")
    subscribe(after="start")

    def work(*_):
        until(lambda: len(heard) == 2)

    run(work, HttpRecorder(lambda _: Response(status=204 if heard else 500)))
    assert [(name, who) for name, _, who, *_ in heard] == [
        ("subscription_failing", "billing"),
        ("subscription_recovered", "billing"),
    ]
    assert heard[0][1] == "failing"
    assert heard[0][3] == "The receiver answered 500."


@pytest.mark.parametrize(
    ("status", "state", "error"), [(500, "disabled", "failing for too long"), (410, "unsubscribed", "410")]
)
def test_a_signal_is_sent_when_it_ends(subscribe, heard, status, state, error):
    subscribe()
    Customer.objects.create(name="a")
    run(
        lambda *_: until(lambda: "subscription_disabled" in names(heard)),
        HttpRecorder(Response(status=status)),
        DISABLE_AFTER=0.001,
    )
    assert heard[-1][:2] == ("subscription_disabled", state)
    assert error in heard[-1][3]


def test_a_signal_is_sent_when_its_stored_cursor_is_invalid(subscribe, heard):
    subscribe()
    Subscription.objects.update(cursor="broken")
    run(lambda *_: until(lambda: names(heard) == ["subscription_disabled"]))
    assert "cursor cannot be read" in heard[0][3]


def test_a_signal_is_sent_when_a_change_is_set_aside(subscribe, heard):
    subscribe(on_failure="set-aside")
    Customer.objects.create(name="a")
    run(
        lambda *_: until(lambda: "change_set_aside" in names(heard)),
        HttpRecorder(Response(status=422)),
        SET_ASIDE_AFTER=1,
    )
    (given,) = [given for name, *_, given in heard if name == "change_set_aside"]
    assert given["model"] == "shop.customer"
    assert given["version"] > 0


def test_a_receiver_that_raises_stops_nothing_and_is_logged(subscribe, caplog):
    made = subscribe()

    def broken(**_):
        raise RuntimeError("a receiver's own fault")

    signals.subscription_failing.connect(broken)
    try:
        Customer.objects.create(name="a")
        down = [True]

        def answer(_):
            if down[0]:
                raise exceptions.Unavailable("no connection")
            return Response(status=204)

        def work(*_):
            until(lambda: "a receiver's own fault" in caplog.text)
            down[0] = False
            until(lambda: Subscription.objects.get(pk=made.pk).delivered)

        run(work, HttpRecorder(answer))
    finally:
        signals.subscription_failing.disconnect(broken)


def test_a_worker_that_has_lost_the_lease_tells_nothing(subscribe, heard):
    made = subscribe()

    def take_away():
        Subscription.objects.filter(pk=made.pk).update(lease=100)
        connection.close()

    async def answer(_):
        await asyncio.to_thread(take_away)
        return Response(status=500)

    Customer.objects.create(name="a")
    transport = HttpRecorder(answer)
    run(lambda *_: until(lambda: transport.sent), transport, LEASE=60)
    assert heard == []


@pytest.mark.parametrize(
    ("before", "after", "signal"),
    [
        ("active", "active", None),
        ("active", "failing", "subscription_failing"),
        ("failing", "active", "subscription_recovered"),
        ("unverified", "active", None),
        ("failing", "disabled", "subscription_disabled"),
        ("active", "unsubscribed", "subscription_disabled"),
        ("active", "unverified", None),
    ],
)
def test_which_signal_tells_of_which_change(before, after, signal):
    assert signals.event(before, after) is (ALL[signal] if signal else None)
