"""The rows that are there first: pushed in pages by key, then the changes since, without a gap between."""

from __future__ import annotations

import json

import pytest
from django.db import connection
from standardwebhooks import Webhook

import pubsubpull
from pubsubpull.log import feed
from pubsubpull.log.models import Change, Log
from pubsubpull.models import Failure, Subscription
from pubsubpull.operate import actions
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import backfill_position, lag, service
from tests.delivering import run, until
from tests.exchanges import HttpRecorder, Response
from tests.shop.models import Customer, Order, Stock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def consumer():
    return consumers.add("billing", ["shop.customer", "shop.order", "shop.stock"], may_subscribe=True)[0]


@pytest.fixture
def subscribe(consumer):
    def make(name="main", **given):
        wish = {"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], "instances": True, **given}
        return service.put(consumer, name, service.SubscriptionSpec(**wish))[0]

    return make


def add(*names):
    return [Customer.objects.create(name=name) for name in names]


def gone():
    """Return the id up to which the log has no changes, or none of this database."""
    log = Log.objects.get()
    return max(log.dropped, log.restored)


def now(made):
    return Subscription.objects.get(pk=made.pk)


def pages(transport):
    return [json.loads(sent.body) for sent in transport.sent]


def items(transport):
    return [item for page in pages(transport) for item in page["items"]]


def edges(transport):
    """Return of each page of rows its model, and whether it is the first and the last of it."""
    found = [page["snapshot"] for page in pages(transport) if "snapshot" in page]
    return [(one["model"], one["first"], one["last"]) for one in found]


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

    transport = HttpRecorder()
    run(work, transport)
    assert told(transport) == [*rows, *changes]
    came = pages(transport)
    assert [len(page["items"]) for page in came[:3]] == [2, 2, 2]
    assert all(page.keys() == {"subscription", "cursor", "snapshot", "items"} for page in came[:3])
    assert {page["cursor"] for page in came[:3]} == {made.cursor}
    assert edges(transport) == [
        ("shop.customer", True, False),
        ("shop.customer", False, False),
        ("shop.customer", False, True),
    ]
    assert len({page["snapshot"]["id"] for page in came[:3]}) == 1
    assert came[3]["previous"] == made.cursor
    item = came[0]["items"][0]
    assert (item["old"], item["transaction"], item["request"], item["key"]) == (None, None, None, str(first.pk))
    assert item["version"] == came[3]["items"][0]["version"]
    assert (now(made).backfill, now(made).delivered) == ("", 9)
    assert len({sent.headers["webhook-id"] for sent in transport.sent}) == len(transport.sent)
    for sent in transport.sent:
        Webhook(service.secret_of(made)).verify(sent.body, sent.headers)


def test_a_row_that_was_never_captured_has_no_versions_to_come_and_its_exact_values(subscribe):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE shop_order DISABLE TRIGGER USER")
        try:
            made = Order.objects.create(total="12.30", card="4242", internal_note="secret", reference='"\u00e4\\')
        finally:
            cursor.execute("ALTER TABLE shop_order ENABLE TRIGGER USER")
    subscribe(models=["shop.order"])
    transport = HttpRecorder()
    run(lambda *_: until(lambda: transport.sent), transport)
    (item,) = items(transport)
    assert (item["version"], item["key"], item["new"]["reference"]) == (gone(), str(made.pk), '"\u00e4\\')
    assert b'"total": 12.30' in transport.sent[0].body
    assert "internal_note" not in item["new"]
    assert "4242" not in transport.sent[0].body.decode()


def test_models_follow_each_other_and_those_without_rows_are_passed(subscribe):
    Stock.objects.create(warehouse="w", article=2)
    Stock.objects.create(warehouse="v", article=3)
    add("a")
    made = subscribe(models=["shop.stock", "shop.order", "shop.customer"], batch=1)
    transport = HttpRecorder()
    run(lambda *_: until(lambda: not now(made).backfill and now(made).delivered == 3), transport)
    found = [(item["model"], item["key"]) for item in items(transport)]
    assert [model for model, _ in found] == ["shop.customer", "shop.stock", "shop.stock"]
    assert [json.loads(key) for _, key in found[1:]] == [["v", 3], ["w", 2]]


def test_rows_go_on_where_they_were_when_another_worker_takes_over(subscribe):
    add(*"abcdef")
    made = subscribe(batch=2)
    first = HttpRecorder(lambda sent: Response(status=200 if len(first.sent) < 2 else 500))
    run(lambda *_: until(lambda: len(first.sent) >= 2 and now(made).attempts), first)
    place = backfill_position.decode(now(made).backfill)
    assert place.models == ("shop.customer",)
    second = HttpRecorder()
    run(lambda *_: until(lambda: not now(made).backfill), second)
    assert told(second) == [("snapshot", name) for name in "cdef"]
    assert first.sent[-1].headers["webhook-id"] == second.sent[0].headers["webhook-id"]


def test_nothing_is_there_and_the_changes_follow_at_once(subscribe):
    made = subscribe()
    transport = HttpRecorder()

    def work(*_):
        until(lambda: not now(made).backfill)
        add("a")
        until(lambda: told(transport))

    run(work, transport)
    assert told(transport) == [("insert", "a")]
    assert edges(transport) == [("shop.customer", True, True)]
    assert pages(transport)[0]["items"] == []


def test_a_put_starts_the_rows_over_only_when_asked(subscribe):
    add("a")
    made = subscribe()
    assert made.backfill
    transport = HttpRecorder()
    run(lambda *_: until(lambda: not now(made).backfill), transport)
    assert subscribe(instances=False).backfill == ""
    assert subscribe().backfill
    again = HttpRecorder()
    run(lambda *_: until(lambda: not now(made).backfill), again)
    assert told(again) == [("snapshot", "a")]
    assert again.sent[0].headers["webhook-id"] != transport.sent[0].headers["webhook-id"]


def test_a_put_without_instances_leaves_the_rows_under_way_and_a_cursor_ends_them(subscribe):
    add(*"abc")
    cursor = subscribe().cursor
    there = subscribe(instances=False, batch=7)
    assert (bool(there.backfill), there.cursor) == (True, cursor)
    assert subscribe(instances=False, after=cursor).backfill == ""
    made = subscribe()
    assert actions.rewind(made, "now").backfill == ""


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

    transport = HttpRecorder(answer)
    run(lambda *_: until(lambda: len(transport.sent) >= 2), transport)
    assert told(transport)[-1] == ("insert", "b")
    assert now(made).backfill == ""


def test_a_receiver_that_is_where_the_rows_began_gets_the_rest_of_them(subscribe):
    add(*"abcd")
    made = subscribe(batch=2)
    elsewhere = Response(status=409, body_start=json.dumps({"cursor": made.cursor}).encode())
    transport = HttpRecorder(lambda _: elsewhere if len(transport.sent) == 2 else Response(status=204))
    run(lambda *_: until(lambda: not now(made).backfill), transport)
    assert told(transport) == [("snapshot", name) for name in "abcdcd"]


def test_rows_that_are_not_taken_are_set_aside_each_by_itself(subscribe):
    with connection.cursor() as cursor:  # rows of version 0, as of a table that was there before it was published
        cursor.execute("ALTER TABLE shop_customer DISABLE TRIGGER USER")
        add("a", "bad", "c", "worse", "e")
        cursor.execute("ALTER TABLE shop_customer ENABLE TRIGGER USER")
    made = subscribe(on_failure="set-aside")
    transport = HttpRecorder(
        lambda sent: Response(status=422 if b'"bad"' in sent.body or b'"worse"' in sent.body else 200)
    )
    run(lambda *_: until(lambda: not now(made).backfill), transport, SET_ASIDE_AFTER=2)
    assert [json.loads(one.item)["new"]["name"] for one in Failure.objects.order_by("pk")] == ["bad", "worse"]
    assert now(made).delivered == 3
    Failure.objects.update(retrying=True)
    again = HttpRecorder()
    run(lambda *_: until(lambda: not Failure.objects.exists()), again)
    assert sorted(told(again)) == [("snapshot", "bad"), ("snapshot", "worse")]


def test_rows_of_one_version_each_reach_a_url_of_their_own(subscribe):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE shop_customer DISABLE TRIGGER USER")
        made = add(*"abc")
        cursor.execute("ALTER TABLE shop_customer ENABLE TRIGGER USER")
    there = subscribe(callback="http://127.0.0.1:9/{model}/{key}/{version}", concurrency=3)
    transport = HttpRecorder()
    run(lambda *_: until(lambda: not now(there).backfill), transport)
    assert {sent.url for sent in transport.sent} == {
        f"http://127.0.0.1:9/shop.customer/{row.pk}/{gone()}" for row in made
    }
    assert [one[1:] for one in edges(transport)] == [(True, False), (False, False), (False, True)]
    assert len({sent.headers["webhook-id"] for sent in transport.sent}) == 3


@pytest.mark.parametrize("form", ["page", "cloudevents"])
def test_a_model_without_rows_is_told_of_to_a_url_of_its_own(subscribe, form):
    there = subscribe(callback="http://127.0.0.1:9/{model}/{key}", format=form)
    transport = HttpRecorder()
    run(lambda *_: until(lambda: not now(there).backfill), transport)
    (sent,) = transport.sent
    assert sent.url == "http://127.0.0.1:9/shop.customer/"
    said = json.loads(sent.body)
    if form == "page":
        (item,) = said["items"]
        assert (item["op"], item["key"], item["new"]) == ("snapshot", None, None)
        assert said["snapshot"]["first"] == said["snapshot"]["last"] == True  # noqa: E712
    else:
        assert (said["type"], said.get("subject")) == ("shop.customer.snapshot", None)
        assert sent.headers["pubsubpull-snapshot-last"] == "true"
    assert now(there).delivered == 0


def test_the_first_and_the_last_row_wait_for_the_others_and_they_for_the_first(subscribe):
    add(*"abcdef")
    there = subscribe(callback="http://127.0.0.1:9/{key}", concurrency=4)
    refused = iter([True, False, True])

    def answer(sent):
        name = json.loads(sent.body)["items"][0]["new"]["name"]
        return Response(status=500 if name in "ae" and next(refused, False) else 204)

    transport = HttpRecorder(answer)
    run(lambda *_: until(lambda: not now(there).backfill), transport)
    names = [name for _, name in told(transport)]
    assert names[:2] == ["a", "a"]
    assert sorted(names[2:7]) == sorted(["b", "c", "d", "e", "e"][: len(names[2:7])])
    assert (names[-1], names.count("f")) == ("f", 1)
    assert edges(transport)[-1] == ("shop.customer", False, True)


def test_the_beginning_and_the_end_are_told_of_though_their_rows_are_set_aside(subscribe):
    add("bad", "b", "worse")
    there = subscribe(on_failure="set-aside", batch=1)
    transport = HttpRecorder(
        lambda sent: Response(status=422 if b'"bad"' in sent.body or b'"worse"' in sent.body else 200)
    )
    run(lambda *_: until(lambda: not now(there).backfill), transport, SET_ASIDE_AFTER=1)
    taken = [page for page in pages(transport) if not {"bad", "worse"} & {one["new"]["name"] for one in page["items"]}]
    assert [[one["new"]["name"] for one in page["items"]] for page in taken] == [["b"], []]
    assert [(page["snapshot"]["first"], page["snapshot"]["last"]) for page in taken] == [(True, False), (False, True)]
    assert Failure.objects.count() == 2
    assert subscribe().failures.count() == 0, "rows sent anew tell of what was set aside"


def test_a_replica_waiting_for_refused_rows_is_behind(subscribe):
    add("a")
    there = subscribe()
    run(lambda *_: until(lambda: now(there).attempts >= 3), HttpRecorder(Response(status=500)))
    (behind,) = lag.of([now(there)], feed.present(), "default")
    assert (behind.changes, behind.seconds > 0) == (0, True)


def test_an_end_that_is_refused_is_sent_again_and_nothing_is_set_aside(subscribe):
    there = subscribe(on_failure="set-aside")
    transport = HttpRecorder(lambda _: Response(status=500 if len(transport.sent) < 4 else 204))
    run(lambda *_: until(lambda: not now(there).backfill), transport, SET_ASIDE_AFTER=1)
    assert len({sent.headers["webhook-id"] for sent in transport.sent}) == 1
    assert Failure.objects.count() == 0


def test_events_of_rows_are_the_same_however_often_they_are_sent(subscribe):
    add("a")
    there = subscribe(format="cloudevents")
    first = HttpRecorder(Response(status=500))
    run(lambda *_: until(lambda: now(there).attempts), first)
    second = HttpRecorder()
    run(lambda *_: until(lambda: not now(there).backfill), second)
    assert first.sent[0].body == second.sent[0].body
    subscribe(format="cloudevents")
    third = HttpRecorder()
    run(lambda *_: until(lambda: not now(there).backfill), third)
    (before,), (after,) = json.loads(second.sent[0].body), json.loads(third.sent[0].body)
    assert before["id"] != after["id"], "what is sent anew is to be taken anew"
    assert before["sequence"] == after["sequence"]
    assert second.sent[0].headers["pubsubpull-snapshot-id"] < third.sent[0].headers["pubsubpull-snapshot-id"]


def test_a_row_whose_changes_are_gone_is_as_new_as_they_were_and_older_than_what_comes(subscribe):
    (row,) = add("a")
    Customer.objects.update(name="b")
    last = Change.objects.latest("id").pk
    with connection.cursor() as cursor:
        cursor.execute("SELECT pubsubpull_settle()")
        cursor.execute("SELECT pubsubpull_settle()")
        cursor.execute("SELECT pubsubpull_trim(%s, NULL)", [last])
        assert cursor.fetchone()[0] > 0
    subscribe()
    Customer.objects.update(name="c")
    transport = HttpRecorder()
    run(lambda *_: until(lambda: len(items(transport)) == 2), transport)
    snapshot, change = items(transport)
    assert (snapshot["key"], snapshot["new"]["name"]) == (str(row.pk), "c")
    assert snapshot["version"] == change["version"] > last
    with connection.cursor() as cursor:
        cursor.execute("SELECT pubsubpull_settle()")
        cursor.execute("SELECT pubsubpull_settle()")
        cursor.execute("SELECT pubsubpull_trim(%s, NULL)", [change["version"]])
    subscribe()
    add("d")
    again = HttpRecorder()
    run(lambda *_: until(lambda: len(items(again)) == 3), again)
    (one, *_, new) = items(again)
    assert (one["key"], one["op"]) == (str(row.pk), "snapshot")
    assert change["version"] <= one["version"] < new["version"]


def test_a_page_of_large_rows_is_cut(subscribe):
    add(*("x" * 400_000 for _ in range(4)))
    made = subscribe()
    transport = HttpRecorder()
    run(lambda *_: until(lambda: not now(made).backfill), transport)
    assert [len(page["items"]) for page in pages(transport)] == [2, 2]


def test_rows_that_are_each_larger_than_a_page_of_the_api_all_come(subscribe):
    add(*("x" * 9_000_000 for _ in range(3)))
    made = subscribe()
    transport = HttpRecorder()
    run(lambda *_: until(lambda: not now(made).backfill), transport)
    assert [len(page["items"]) for page in pages(transport)] == [1, 1, 1]


def test_a_model_that_is_published_or_granted_no_more_is_passed(subscribe, consumer):
    add("a")
    Stock.objects.create(warehouse="w", article=2)
    made = subscribe(models=["shop.customer", "shop.order", "shop.stock"])
    consumer.granted = ["shop.order", "shop.stock"]
    consumer.save()
    pubsubpull.unpublish(Order)
    try:
        transport = HttpRecorder()
        run(lambda *_: until(lambda: not now(made).backfill), transport)
    finally:
        pubsubpull.publish(Order, exclude=["internal_note"], mask=["card"])
    assert [item["model"] for item in items(transport)] == ["shop.stock"]


def test_rows_wait_for_the_receivers_consent(subscribe):
    add("a")
    made = subscribe(verify=True)
    transport = HttpRecorder()
    transport.consent = Response(status=200)
    run(lambda *_: until(lambda: len(transport.asked) >= 2), transport)
    assert (now(made).state, transport.sent) == ("unverified", [])
    Subscription.objects.update(next_attempt=None)
    run(lambda *_: until(lambda: not now(made).backfill), consenting := HttpRecorder())
    assert told(consenting) == [("snapshot", "a")]
