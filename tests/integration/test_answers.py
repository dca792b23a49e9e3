"""The worker's reactions to a receiver's answers, in the test's own process: acceptance, refusal and redirection."""

from __future__ import annotations

import dataclasses
import itertools
import json

import pytest

from pubsubpull import exceptions
from pubsubpull.log import feed
from pubsubpull.models import Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests.delivering import run, until
from tests.exchanges import HttpRecorder, Response
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)
NO_RUSH = {"BACKOFF_FIRST": 60.0, "BACKOFF_LIMIT": 120.0}


@pytest.fixture
def subscribe():
    consumer, _ = consumers.add("billing", ["shop.customer"], may_subscribe=True)

    def make(name="main", **given):
        wish = service.SubscriptionSpec(**{"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], **given})
        return service.put(consumer, name, wish)[0]

    return make


def add(*names):
    for name in names:
        Customer.objects.create(name=name)


def now(made):
    return Subscription.objects.get(pk=made.pk)


def pages(transport):
    return [json.loads(sent.body) for sent in transport.sent]


def names(transport):
    return [item["new"]["name"] for page in pages(transport) for item in page["items"]]


def answers(*given):
    """Give these answers, and then 204."""
    left = list(given)
    return HttpRecorder(lambda _: left.pop(0) if left else Response(status=204))


def elsewhere(cursor):
    return Response(status=409, body_start=json.dumps({"cursor": cursor}).encode())


def test_409_goes_on_from_the_receivers_cursor(subscribe):
    add("missed")
    behind = feed.present().cursor().encode()
    add("a", "b")
    made = subscribe()
    add("c")
    transport = answers(elsewhere(behind))

    def work(*_):
        until(lambda: names(transport) == ["c", "a", "b", "c"])
        add("d")
        until(lambda: names(transport) == ["c", "a", "b", "c", "d"])

    run(work, transport)
    assert pages(transport)[1]["previous"] == behind
    assert now(made).state == "active"


def test_409_of_a_receiver_that_has_more_skips_the_changes_it_has(subscribe):
    made = subscribe(batch=1)
    add("had", "had too")
    ahead = feed.present().cursor().encode()
    add("new")
    transport = answers(elsewhere(ahead))
    run(lambda *_: until(lambda: now(made).delivered == 1), transport)
    assert names(transport) == ["had", "new"]
    assert pages(transport)[1]["previous"] == ahead


def test_a_receiver_that_answers_every_page_with_409_is_failing_after_some_and_not_flooded(subscribe):
    made = subscribe()
    add("a")
    transport = HttpRecorder(lambda sent: elsewhere(json.loads(sent.body)["previous"]))
    run(lambda *_: until(lambda: now(made).state == "failing"), transport, **NO_RUSH)
    assert len(transport.sent) == 2
    assert "again and again" in now(made).last_error
    assert now(made).cursor == made.cursor


def test_a_receiver_that_takes_pages_and_then_sends_delivery_back_is_failing_and_not_flooded(subscribe):
    made = subscribe(batch=1)
    add(*"abcd")

    def answer(_):
        return elsewhere(made.cursor) if len(transport.sent) % 3 == 0 else Response(status=204)

    transport = HttpRecorder(answer)
    run(lambda *_: until(lambda: now(made).state == "failing"), transport, **NO_RUSH)
    assert names(transport) == ["a", "b", "c", "a", "b", "c"]
    assert "again and again" in now(made).last_error
    assert now(made).cursor == made.cursor
    assert now(made).delivered == 2, "what comes again is not counted again"


def test_a_receiver_whose_answers_are_lost_again_and_again_goes_on(subscribe):
    made = subscribe(batch=1)
    add(*"abcde")
    had = []

    def answer(sent):
        page = json.loads(sent.body)
        if page["cursor"] in had:
            return elsewhere(had[-1])
        had.append(page["cursor"])
        return Response(status=500)

    transport = HttpRecorder(answer)
    run(
        lambda *_: until(lambda: len(transport.sent) == 10 and now(made).state == "active"),
        transport,
        BACKOFF_LIMIT=0.02,
    )
    assert names(transport) == [name for name in "abcde" for _ in range(2)]


def test_a_receiver_that_goes_back_once_is_given_all_again_which_counts_once(subscribe):
    made = subscribe(batch=2)
    add(*"abcdef")

    def answer(_):
        return elsewhere(made.cursor) if len(transport.sent) == 3 else Response(status=204)

    transport = HttpRecorder(answer)
    run(lambda *_: until(lambda: now(made).delivered == 6), transport, **NO_RUSH)
    assert names(transport) == list("abcdefabcdef")
    assert now(made).state == "active"


@pytest.mark.parametrize("concurrency", [1, 4])
def test_409_to_a_change_with_a_url_of_its_own_moves_no_cursor(subscribe, concurrency):
    made = subscribe(callback="http://127.0.0.1:9/{key}", batch=4, concurrency=concurrency)
    add(*"abcdef")
    transport = HttpRecorder(lambda _: elsewhere(made.cursor) if len(transport.sent) == 3 else Response(status=204))
    run(lambda *_: until(lambda: now(made).delivered == 6), transport)
    assert sorted(names(transport)) == sorted([*"abcdef", names(transport)[2]])
    assert all(page.keys() == {"subscription", "items"} for page in pages(transport))


def test_409_with_a_cursor_of_another_history_is_a_failure_that_says_so(subscribe):
    made = subscribe()
    add("a")
    cursor = feed.present().cursor()
    foreign = dataclasses.replace(cursor, history=cursor.history + 1).encode()
    run(lambda *_: until(lambda: now(made).state == "failing"), HttpRecorder(elsewhere(foreign)), **NO_RUSH)
    assert "another history" in now(made).last_error
    assert now(made).cursor == made.cursor


def test_410_unsubscribes_keeps_the_cursor_and_a_put_goes_on_from_there(subscribe, caplog):
    made = subscribe()
    add("a")
    run(lambda *_: until(lambda: now(made).state == "unsubscribed"), HttpRecorder(Response(status=410)))
    ended = now(made)
    assert (ended.cursor, ended.worker, ended.next_attempt) == (made.cursor, None, None)
    assert "410" in ended.last_error
    assert "is unsubscribed" in caplog.text
    transport = HttpRecorder()
    run(lambda *_: None, transport)
    assert not transport.sent, "nobody takes it up by itself"
    subscribe()
    run(lambda *_: until(lambda: now(made).delivered == 1), transport)
    assert pages(transport)[0]["previous"] == made.cursor


def test_the_cursor_moves_only_once_the_receiver_has_taken_the_page(subscribe):
    made = subscribe(batch=1)
    worker, at = [], []

    def answer(_):
        at.append(worker[0].leases.held[made.pk].checkpoint.cursor.encode())
        return Response(status=204)

    def work(one, _):
        worker.append(one)
        add("a", "b", "c")
        until(lambda: now(made).delivered == 3)

    transport = HttpRecorder(answer)
    run(work, transport)
    assert at == [page["previous"] for page in pages(transport)]
    assert now(made).cursor == pages(transport)[-1]["cursor"]


def test_retry_after_puts_the_next_attempt_off(subscribe):
    made = subscribe()
    add("a")
    transport = HttpRecorder(Response(status=429, headers={"retry-after": "600"}))
    run(lambda *_: until(lambda: now(made).state == "failing"), transport)
    waits = now(made)
    assert 590 < (waits.next_attempt - waits.failing_since).total_seconds() < 610
    assert len(transport.sent) == 1


def test_a_stopping_worker_releases_waiting_subscriptions_at_once(subscribe):
    made = subscribe()
    add("a")
    transport = HttpRecorder(lambda _: (_ for _ in ()).throw(exceptions.Unavailable("no connection")))
    run(lambda *_: until(lambda: now(made).attempts == 1), transport, **NO_RUSH)
    left = now(made)
    assert (left.worker, left.state) == (None, "failing")
    assert left.next_attempt


def test_a_failing_subscription_that_is_taken_over_waits_for_its_time(subscribe):
    made = subscribe()
    add("a")
    Subscription.objects.update(state="failing", attempts=3, next_attempt="2999-01-01T00:00Z")
    other = subscribe("other")

    def work(*_):
        until(lambda: now(made).worker)
        add("b")
        until(lambda: now(other).delivered == 1)

    transport = HttpRecorder()
    run(work, transport)
    assert [page["subscription"] for page in pages(transport)] == ["other"]


def test_many_pages_are_a_chain_without_gaps_or_repeats_through_failures(subscribe):
    made = subscribe(batch=3)
    add(*[str(n) for n in range(20)])
    flaky = itertools.cycle([Response(status=500), Response(status=204), exceptions.Unavailable("gone")])
    taken = []

    def answer(sent):
        result = next(flaky)
        if isinstance(result, Exception):
            raise result
        if result.status == 204:
            taken.append(json.loads(sent.body))
        return result

    run(lambda *_: until(lambda: now(made).delivered == 20), HttpRecorder(answer), BREAKER_FAILURES=1000)
    assert [item["new"]["name"] for page in taken for item in page["items"]] == [str(n) for n in range(20)]
    assert all(one["cursor"] == two["previous"] for one, two in itertools.pairwise(taken))
