"""The rows that are there first: pushed in pages by key, then the changes since, without a gap between."""

from __future__ import annotations

import json

import pytest
from django.db import connection
from standardwebhooks import Webhook

import pubsubpull
from pubsubpull.capture import feed, registry
from pubsubpull.models import Failure, Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscribe import initial, operators, subscriptions
from pubsubpull.subscribe.transport import RecordingTransport, Response
from tests.delivering import run, until
from tests.shop.models import Customer, Order, Stock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def consumer():
    return consumers.add("billing", ["shop.customer", "shop.order", "shop.stock"], may_subscribe=True)[0]


@pytest.fixture
def subscribe(consumer):
    def make(name="main", **given):
        wish = {"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], "instances": True, **given}
        return subscriptions.put(consumer, name, subscriptions.Wish(**wish))[0]

    return make


def add(*names):
    return [Customer.objects.create(name=name) for name in names]


def now(made):
    return Subscription.objects.get(pk=made.pk)


def pages(transport):
    return [json.loads(sent.body) for sent in transport.sent]


def items(transport):
    return [item for page in pages(transport) for item in page["items"]]


def told(transport):
    return [(item["op"], (item["new"] or item["old"])["name"]) for item in items(transport)]


def test_all_rows_come_first_and_then_the_changes_since(subscribe):
    first, *_ = add(*"abcde")
    made = subscribe(batch=2)
    Customer.objects.filter(pk=first.pk).update(name="A")
    add("f")
    rows = [("snapshot", name) for name in "Abcdef"]
    changes = [("update", "A"), ("insert", "f"), ("insert", "g")]

    def work(_, transport):
        until(lambda: len(items(transport)) >= 8)
        add("g")
        until(lambda: len(items(transport)) >= 9)

    transport = RecordingTransport()
    run(work, transport)
    assert told(transport) == [*rows, *changes]
    came = pages(transport)
    assert [len(page["items"]) for page in came[:3]] == [2, 2, 2]
    assert {(page["previous"], page["cursor"]) for page in came[:3]} == {(made.cursor, made.cursor)}
    assert all(page["more"] for page in came[:3])
    assert came[3]["previous"] == made.cursor
    item = came[0]["items"][0]
    assert (item["old"], item["transaction"], item["request"], item["key"]) == (None, None, None, str(first.pk))
    assert item["version"] == came[3]["items"][0]["version"]
    assert (now(made).initial, now(made).delivered) == ("", 9)
    assert len({sent.headers["webhook-id"] for sent in transport.sent}) == len(transport.sent)
    for sent in transport.sent:
        Webhook(subscriptions.secret_of(made)).verify(sent.body, sent.headers)


def test_a_row_that_was_never_captured_has_version_0_and_its_exact_values(subscribe):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE shop_order DISABLE TRIGGER USER")
        try:
            made = Order.objects.create(total="12.30", card="4242", internal_note="secret", reference='"\u00e4\\')
        finally:
            cursor.execute("ALTER TABLE shop_order ENABLE TRIGGER USER")
    subscribe(models=["shop.order"])
    transport = RecordingTransport()
    run(lambda *_: until(lambda: transport.sent), transport)
    (item,) = items(transport)
    assert (item["version"], item["key"], item["new"]["reference"]) == (0, str(made.pk), '"\u00e4\\')
    assert b'"total": 12.30' in transport.sent[0].body
    assert "internal_note" not in item["new"]
    assert "4242" not in transport.sent[0].body.decode()


def test_models_follow_each_other_and_those_without_rows_are_passed(subscribe):
    Stock.objects.create(warehouse="w", article=2)
    Stock.objects.create(warehouse="v", article=3)
    add("a")
    made = subscribe(models=["shop.stock", "shop.order", "shop.customer"], batch=1)
    transport = RecordingTransport()
    run(lambda *_: until(lambda: not now(made).initial and now(made).delivered == 3), transport)
    found = [(item["model"], item["key"]) for item in items(transport)]
    assert [model for model, _ in found] == ["shop.customer", "shop.stock", "shop.stock"]
    assert [json.loads(key) for _, key in found[1:]] == [["v", 3], ["w", 2]]


def test_rows_go_on_where_they_were_when_another_worker_takes_over(subscribe):
    add(*"abcdef")
    made = subscribe(batch=2)
    first = RecordingTransport(lambda sent: Response(status=200 if len(first.sent) < 2 else 500))
    run(lambda *_: until(lambda: len(first.sent) >= 2 and now(made).attempts), first)
    place = initial.decode(now(made).initial)
    assert place.models == ("shop.customer",)
    second = RecordingTransport()
    run(lambda *_: until(lambda: not now(made).initial), second)
    assert told(second) == [("snapshot", name) for name in "cdef"]
    assert first.sent[-1].headers["webhook-id"] == second.sent[0].headers["webhook-id"]


def test_nothing_is_there_and_the_changes_follow_at_once(subscribe):
    made = subscribe()
    transport = RecordingTransport()

    def work(*_):
        until(lambda: not now(made).initial)
        add("a")
        until(lambda: transport.sent)

    run(work, transport)
    assert told(transport) == [("insert", "a")]


def test_a_put_starts_the_rows_over_only_when_asked(subscribe):
    add("a")
    made = subscribe()
    assert made.initial
    transport = RecordingTransport()
    run(lambda *_: until(lambda: not now(made).initial), transport)
    assert subscribe(instances=False).initial == ""
    assert subscribe().initial
    again = RecordingTransport()
    run(lambda *_: until(lambda: not now(made).initial), again)
    assert told(again) == [("snapshot", "a")]
    assert again.sent[0].headers["webhook-id"] != transport.sent[0].headers["webhook-id"]


def test_a_put_without_instances_leaves_the_rows_under_way_and_a_cursor_ends_them(subscribe):
    add(*"abc")
    cursor = subscribe().cursor
    there = subscribe(instances=False, batch=7)
    assert (bool(there.initial), there.cursor) == (True, cursor)
    assert subscribe(instances=False, after=cursor).initial == ""
    made = subscribe()
    assert operators.rewind(made, "now").initial == ""


def test_a_receiver_that_says_where_it_is_gets_the_changes_from_there(subscribe):
    add("a")
    earlier = feed.present().cursor().encode()
    add("b")
    made = subscribe()

    def answer(sent):
        page = json.loads(sent.body)
        if page["items"][0]["op"] == "snapshot":
            return Response(status=409, body_start=json.dumps({"cursor": earlier}).encode())
        return Response(status=204)

    transport = RecordingTransport(answer)
    run(lambda *_: until(lambda: len(transport.sent) >= 2), transport)
    assert told(transport)[-1] == ("insert", "b")
    assert now(made).initial == ""


def test_a_receiver_that_is_where_the_rows_began_gets_the_rest_of_them(subscribe):
    add(*"abcd")
    made = subscribe(batch=2)
    elsewhere = Response(status=409, body_start=json.dumps({"cursor": made.cursor}).encode())
    transport = RecordingTransport(lambda _: elsewhere if len(transport.sent) == 2 else Response(status=204))
    run(lambda *_: until(lambda: not now(made).initial), transport)
    assert told(transport) == [("snapshot", name) for name in "abcdcd"]


def test_rows_that_are_not_taken_are_set_aside_each_by_itself(subscribe):
    with connection.cursor() as cursor:  # rows of version 0, as of a table that was there before it was published
        cursor.execute("ALTER TABLE shop_customer DISABLE TRIGGER USER")
        add("a", "bad", "c", "worse", "e")
        cursor.execute("ALTER TABLE shop_customer ENABLE TRIGGER USER")
    made = subscribe(on_failure="set-aside")
    transport = RecordingTransport(
        lambda sent: Response(status=422 if b'"bad"' in sent.body or b'"worse"' in sent.body else 200)
    )
    run(lambda *_: until(lambda: not now(made).initial), transport, SET_ASIDE_AFTER=2)
    assert [json.loads(one.item)["new"]["name"] for one in Failure.objects.order_by("pk")] == ["bad", "worse"]
    assert now(made).delivered == 3
    Failure.objects.update(wanted=True)
    again = RecordingTransport()
    run(lambda *_: until(lambda: not Failure.objects.exists()), again)
    assert sorted(told(again)) == [("snapshot", "bad"), ("snapshot", "worse")]


def test_rows_of_one_version_each_reach_a_url_of_their_own(subscribe):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE shop_customer DISABLE TRIGGER USER")
        made = add(*"abc")
        cursor.execute("ALTER TABLE shop_customer ENABLE TRIGGER USER")
    there = subscribe(callback="http://127.0.0.1:9/{model}/{key}/{version}", concurrency=3)
    transport = RecordingTransport()
    run(lambda *_: until(lambda: not now(there).initial), transport)
    assert {sent.url for sent in transport.sent} == {f"http://127.0.0.1:9/shop.customer/{row.pk}/0" for row in made}
    assert len({sent.headers["webhook-id"] for sent in transport.sent}) == 3


def test_a_page_of_large_rows_is_cut(subscribe):
    add(*("x" * 400_000 for _ in range(4)))
    made = subscribe()
    transport = RecordingTransport()
    run(lambda *_: until(lambda: not now(made).initial), transport)
    assert [len(page["items"]) for page in pages(transport)] == [2, 2]


def test_a_model_that_is_published_or_granted_no_more_is_passed(subscribe, consumer):
    add("a")
    Stock.objects.create(warehouse="w", article=2)
    made = subscribe(models=["shop.customer", "shop.order", "shop.stock"])
    consumer.granted = ["shop.order", "shop.stock"]
    consumer.save()
    registry.unpublish(Order)
    try:
        transport = RecordingTransport()
        run(lambda *_: until(lambda: not now(made).initial), transport)
    finally:
        pubsubpull.publish(Order, exclude=["internal_note"], mask=["card"])
    assert [item["model"] for item in items(transport)] == ["shop.stock"]


def test_rows_wait_for_the_receivers_consent(subscribe):
    add("a")
    made = subscribe(verify=True)
    transport = RecordingTransport()
    transport.consent = Response(status=200)
    run(lambda *_: until(lambda: len(transport.asked) >= 2), transport)
    assert (now(made).state, transport.sent) == ("unverified", [])
    Subscription.objects.update(next_attempt=None)
    run(lambda *_: until(lambda: not now(made).initial), consenting := RecordingTransport())
    assert told(consenting) == [("snapshot", "a")]
