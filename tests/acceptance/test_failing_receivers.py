"""Receivers that fail, served by real worker processes: one breaker for all, set-aside across crashes."""

from __future__ import annotations

import contextlib
import json
import threading

import pytest
from django.db import connection

from pubsubpull.capture import sql
from pubsubpull.models import Failure, Host, Subscription, Worker
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests.acceptance.test_delivery import DIES, Workers, add, caught_up, in_chain, now, until
from tests.receivers import Receiver, serving
from tests.sessions import session

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

    def make(name="main", **given):
        wish = {"callback": receiver.url, "models": ["shop.customer"], **given}
        return service.put(consumer, name, service.SubscriptionSpec(**wish))[0]

    return make


def refuse_bad(page):
    bad = any(item["new"]["name"].startswith("bad") for item in page["items"])
    return (422, {}, b"I do not like it") if bad else (204, {}, b"")


def taken(receiver):
    return [page for page in receiver.came if refuse_bad(page)[0] == 204]


def names(pages):
    return [item["new"]["name"] for page in pages for item in page["items"]]


def names_for(pages, subscription):
    return set(names(page for page in pages if page["subscription"] == subscription))


def test_a_poisonous_change_is_set_aside_and_everything_else_arrives_in_order(workers, receiver, subscribe):
    subscription = subscribe(on_failure="set-aside", batch=50)
    receiver.answer = refuse_bad
    add(*[f"good {n}" for n in range(30)], "bad", *[f"good {n}" for n in range(30, 40)])
    workers.start(SET_ASIDE_AFTER=2)
    until(lambda: names(taken(receiver)) == [f"good {n}" for n in range(40)])
    until(lambda: now(subscription).state == "active")
    failure = Failure.objects.get()
    assert (failure.status, failure.answer) == (422, "I do not like it")
    assert json.loads(failure.item)["new"]["name"] == "bad"
    assert in_chain(taken(receiver))
    until(lambda: caught_up(subscription))


@pytest.mark.parametrize("completes", [True, False])
def test_a_worker_that_dies_as_it_sets_a_change_aside_loses_neither_it_nor_the_place(
    workers, receiver, subscribe, completes
):
    subscription = subscribe(on_failure="set-aside")
    receiver.answer = refuse_bad
    add("bad", "good")
    with session() as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE pubsubpull_failure IN EXCLUSIVE MODE")
        first = workers.start(SET_ASIDE_AFTER=1, **DIES)
        # It has written the cursor, and waits to write the failure: neither is committed.
        until(setting_aside)
        first.kill()
        first.wait()
        if not completes:
            end_it()
        other.execute("ROLLBACK")
    until(lambda: not setting_aside())
    assert Failure.objects.exists() is completes
    assert (now(subscription).cursor != subscription.cursor) is completes
    workers.start(SET_ASIDE_AFTER=1)
    until(lambda: names(taken(receiver)) == ["good"])
    assert json.loads(Failure.objects.get().item)["new"]["name"] == "bad"


def setting_aside(call="pid"):
    opening = sql.read("queries/dead_letters/put").splitlines()[0]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {call} FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND state = 'active' AND starts_with(query, %s)",
            [opening],
        )
        return cursor.fetchall()


def end_it():
    setting_aside("pg_terminate_backend(pid)")
    until(lambda: not setting_aside())


def test_a_change_that_is_retried_reaches_a_receiver_that_was_mended(workers, receiver, subscribe, client):
    subscription = subscribe(on_failure="set-aside")
    receiver.answer = refuse_bad
    add("bad", "good")
    workers.start(SET_ASIDE_AFTER=1)
    failure = until(Failure.objects.first)
    until(lambda: now(subscription).delivered == 1)
    receiver.answer = lambda _: (204, {}, b"")
    token = consumers.rotate(subscription.consumer)
    answer = client.put(
        f"/pubsubpull/subscriptions/main/failures/{failure.pk}/", headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 202
    until(lambda: not Failure.objects.exists())
    page = receiver.came[-1]
    assert (names([page]), "previous" in page, "cursor" in page) == (["bad"], False, False)
    add("next")
    receiver.wait(lambda came: names(came)[-1] == "next")
    assert receiver.came[-1]["previous"] == receiver.came[-3]["cursor"]


def test_a_host_that_one_worker_finds_sick_is_left_alone_by_all_and_all_go_on_when_it_is_back(workers, subscribe):
    with serving(Receiver()) as gone:
        port = gone.port
    made = [subscribe(f"s{n}", callback=f"http://127.0.0.1:{port}/s{n}") for n in range(12)]
    times = {"BREAKER_FAILURES": 2, "BREAKER_LIMIT": 1.0, "BACKOFF_FIRST": 0.5, "BACKOFF_LIMIT": 600}
    workers.start("--name", "one", **times)
    workers.start("--name", "two", **times)
    until(lambda: {now(one).worker for one in made} == set(Worker.objects.values_list("id", flat=True)) != set())
    until(lambda: Worker.objects.count() == 2 and len({now(one).worker for one in made}) == 2)
    add("a")
    until(lambda: Host.objects.filter(failures__gte=4).exists())
    until(lambda: Subscription.objects.filter(state="failing").count() == 12)
    late = subscribe("late", callback=made[0].callback)
    add("b")
    until(lambda: now(late).state == "failing" and "one probe at a time" in now(late).last_error)
    assert now(late).next_attempt
    back = Receiver()
    with serving(back, port):
        back.wait(lambda came: {page["subscription"] for page in came} >= {one.name for one in made})
        until(lambda: Subscription.objects.filter(state="active", delivered=2).count() == 12)
        until(lambda: now(late).delivered == 1)
        assert not Host.objects.exists()


def test_hanging_receivers_delay_no_other_receiver(workers, receiver, subscribe):
    hanging = threading.Event()
    with contextlib.ExitStack() as stack:
        stack.callback(hanging.set)
        deaf = Receiver()
        deaf.answer = lambda _: (hanging.wait(60), (204, {}, b""))[-1]
        stack.enter_context(serving(deaf))
        for n in range(4):
            subscribe(f"deaf{n}", callback=deaf.url)
            subscribe(f"well{n}")
        workers.start(READ_TIMEOUT=1.5, BREAKER_FAILURES=2)
        add("a")
        deaf.wait(lambda came: came)
        for name in "bcdef":
            add(name)
        receiver.wait(lambda came: all(names_for(came, f"well{n}") >= set("abcdef") for n in range(4)))
        until(lambda: Host.objects.filter(host=f"127.0.0.1:{deaf.port}", failures__gte=2).exists())
        until(lambda: Subscription.objects.filter(name__startswith="well", state="active", delivered=6).count() == 4)
        hanging.set()
        until(lambda: Subscription.objects.filter(state="active", delivered=6).count() == 8)
