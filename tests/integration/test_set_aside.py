"""Changes that a receiver does not take: found, set aside with the cursor, tried again, dropped."""

from __future__ import annotations

import itertools
import json
import uuid

import pytest
from django.db import IntegrityError

from pubsubpull.delivery import dead_letters, notification, store, transitions
from pubsubpull.log import feed
from pubsubpull.log.cursor import Cursor
from pubsubpull.models import Failure, Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from pubsubpull.transports.base import Retry
from tests.delivering import run, until
from tests.exchanges import HttpRecorder, Response
from tests.sessions import session
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)
REFUSAL = Retry(error="The receiver answered 500.", code=500, answer="no", refused=True)


@pytest.fixture
def consumer():
    return consumers.add("billing", ["shop.customer", "shop.order"], may_subscribe=True)[0]


@pytest.fixture
def subscribe(consumer):
    def make(name="main", **given):
        usual = {"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], "on_failure": "set-aside"}
        return service.put(consumer, name, service.SubscriptionSpec(**{**usual, **given}))[0]

    return make


class Receiver(HttpRecorder):
    """Refuses pages with a change whose name begins with "bad"; keeps the accepted changes."""

    def __init__(self, status=500):
        super().__init__(self.judge)
        self.status = status
        self.taken = []
        self.healed = False

    def judge(self, sent):
        page = json.loads(sent.body)
        if not self.healed and any((item["new"] or item["old"])["name"].startswith("bad") for item in page["items"]):
            return Response(status=self.status, body_start=b'{"why": "I do not like it"}')
        self.taken.append(page)
        return Response(status=204)

    def names(self):
        return [(item["new"] or item["old"])["name"] for page in self.taken for item in page["items"]]


def add(*names):
    Customer.objects.bulk_create([Customer(name=name) for name in names])


def now(made):
    return Subscription.objects.get(pk=made.pk)


def in_chain(pages):
    return all(one["cursor"] == two["previous"] for one, two in itertools.pairwise(pages))


@pytest.mark.parametrize("bad", [0, 6, 19])
def test_the_poisonous_change_alone_is_set_aside_and_all_others_arrive_in_order(subscribe, bad, caplog):
    made = subscribe()
    names = [f"bad {n}" if n == bad else f"good {n}" for n in range(20)]
    add(*names)
    receiver = Receiver()

    def work(*_):
        until(lambda: receiver.names() == [name for name in names if name.startswith("good")])
        until(lambda: now(made).state == "active" and now(made).delivered == 19)
        add("more")
        until(lambda: receiver.names()[-1] == "more")

    run(work, receiver, SET_ASIDE_AFTER=2)
    failure = Failure.objects.get()
    assert json.loads(failure.item)["new"]["name"] == names[bad]
    assert (failure.model, failure.op, failure.status, failure.retrying) == ("shop.customer", "I", 500, False)
    assert failure.answer == '{"why": "I do not like it"}'
    assert failure.version == json.loads(failure.item)["version"]
    assert in_chain(receiver.taken), "its receiver is told of no cursor that it has not been sent"
    assert "is set aside for main of billing" in caplog.text
    assert service.describe(now(made), feed.present())["failures"] == 1


def test_several_in_one_page_are_set_aside_one_after_the_other(subscribe):
    subscribe()
    add("a", "bad 1", "b", "bad 2", "bad 3", "c")
    receiver = Receiver()
    run(lambda *_: until(lambda: receiver.names() == ["a", "b", "c"]), receiver, SET_ASIDE_AFTER=2)
    assert [json.loads(failure.item)["new"]["name"] for failure in Failure.objects.order_by("version")] == [
        "bad 1",
        "bad 2",
        "bad 3",
    ]


def test_a_search_is_not_a_recovery_until_the_change_is_found(subscribe, caplog):
    caplog.set_level("INFO")
    made = subscribe()
    add(*[f"good {n}" for n in range(15)], "bad")
    run(
        lambda *_: until(lambda: Failure.objects.exists() and now(made).state == "active"),
        Receiver(),
        SET_ASIDE_AFTER=2,
    )
    assert caplog.text.count("is failing") == 1
    assert caplog.text.count("has recovered") == 1


def test_by_default_the_page_is_sent_again_and_nothing_is_set_aside(subscribe):
    made = subscribe(on_failure="block")
    add("a", "bad")
    receiver = Receiver()
    run(lambda *_: until(lambda: len(receiver.sent) > 6), receiver, SET_ASIDE_AFTER=2)
    assert len({sent.body for sent in receiver.sent}) == 1
    assert not Failure.objects.exists()
    assert (now(made).state, now(made).cursor) == ("failing", made.cursor)


@pytest.mark.parametrize("status", [429, 503])
def test_an_absent_or_busy_receiver_has_nothing_set_aside(subscribe, status):
    made = subscribe()
    add("a", "bad")
    receiver = Receiver(status)
    run(lambda *_: until(lambda: len(receiver.sent) > 6), receiver, SET_ASIDE_AFTER=2, BREAKER_FAILURES=100)
    assert not Failure.objects.exists()
    assert now(made).cursor == made.cursor


def test_no_more_than_the_limit_is_set_aside_then_the_subscription_is_disabled(subscribe):
    made = subscribe()
    add("bad 1", "bad 2", "bad 3", "good")
    receiver = Receiver()
    run(
        lambda *_: until(lambda: now(made).state == "disabled"),
        receiver,
        SET_ASIDE_AFTER=1,
        SET_ASIDE_LIMIT=2,
    )
    assert Failure.objects.count() == 2
    assert "2 changes are set aside" in now(made).last_error
    receiver = Receiver()
    receiver.healed = True
    subscribe()
    run(lambda *_: until(lambda: receiver.names() == ["bad 3", "good"]), receiver)


def hold():
    """Take the only subscription as a worker does; return the store, the lease, and a page of its first change."""
    taker = store.Store(using="default", worker=uuid.uuid4())
    taker.renew(name="w", lease=60)
    ((lease,), _) = taker.claim(1)
    read = feed.rows(lease.checkpoint.cursor, limit=1)
    page = notification.page(
        list(read.rows),
        style=lease.terms.style,
        cursor=read.cursor,
        text=read.cursor.encode(),
    )
    return dead_letters.Store(using="default", worker=taker.worker), lease, page


def put(taker, lease, page, refusal=REFUSAL):
    return taker.put(lease, page, refusal, then=transitions.set_aside(lease.checkpoint, page))


def test_a_stale_worker_sets_nothing_aside_and_moves_no_cursor(subscribe):
    made = subscribe()
    add("bad")
    stale, lease, page = hold()
    subscribe(batch=7)
    assert not put(stale, lease, page)
    assert not Failure.objects.exists()
    assert now(made).cursor == made.cursor
    assert stale.count(made.pk) == 0


def test_the_change_and_the_cursor_are_written_together_or_not_at_all(subscribe):
    made = subscribe()
    add("bad", "good")
    mine, lease, page = hold()
    with session() as other:
        other.execute("ALTER TABLE pubsubpull_failure ADD CONSTRAINT none CHECK (false)")
        try:
            with pytest.raises(IntegrityError):
                put(mine, lease, page)
        finally:
            other.execute("ALTER TABLE pubsubpull_failure DROP CONSTRAINT none")
    assert now(made).cursor == made.cursor
    assert put(mine, lease, page)
    assert (now(made).cursor, now(made).last_sent_cursor) == (page.text, made.last_sent_cursor)
    assert Cursor.decode(now(made).cursor).window is not None


def test_a_change_set_aside_before_a_crash_is_set_aside_once(subscribe):
    subscribe()
    add("bad")
    mine, lease, page = hold()
    assert put(mine, lease, page)
    Failure.objects.update(retrying=True)
    assert put(mine, lease, page, Retry(error="later", code=422))
    assert Failure.objects.get().status == 422


def test_a_stale_workers_word_on_a_change_tried_again_counts_nothing(subscribe):
    made = subscribe()
    add("bad")
    mine, lease, page = hold()
    put(mine, lease, page)
    Failure.objects.update(retrying=True)
    (leased,) = mine.redeliveries()
    assert leased.redelivery.row == page.rows[0]
    subscribe(batch=7)
    assert mine.redeliveries() == []
    assert not mine.taken(lease, leased.redelivery.id)
    mine.refused(lease, leased.redelivery.id, Retry(error="later"))
    assert Failure.objects.get().retrying
    assert Failure.objects.get().error == REFUSAL.error
    assert now(made).delivered == 0


@pytest.fixture
def call(client, consumer):
    token = consumers.rotate(consumer)

    def send(method, path, *, token=token):
        return client.generic(method, f"/pubsubpull/subscriptions/{path}", headers={"Authorization": f"Bearer {token}"})

    return send


@pytest.fixture
def failed(subscribe):
    """Have three changes set aside, of four."""
    made = subscribe()
    add("bad 1", "bad 2", "good", "bad 3")
    receiver = Receiver()
    run(
        lambda *_: until(lambda: Failure.objects.count() == 3 and now(made).state == "active"),
        receiver,
        SET_ASIDE_AFTER=1,
    )
    return made


def test_the_consumer_sees_pages_of_dead_letters_with_the_receivers_answers(call, failed):
    first = call("GET", "main/failures/?limit=2").json()
    assert [item["change"]["new"]["name"] for item in first["items"]] == ["bad 1", "bad 2"]
    second = call("GET", "main/failures/?" + first["next"].split("?")[1]).json()
    assert [item["change"]["new"]["name"] for item in second["items"]] == ["bad 3"]
    assert second["next"] is None
    found = second["items"][0]
    assert (found["status"], found["answer"]) == (500, '{"why": "I do not like it"}')
    assert found["error"] == "The receiver answered 500."
    assert found["attempts"] >= 1
    assert not found["retrying"]
    assert found["set_aside"].endswith("Z")
    assert call("GET", "main/").json()["failures"] == 3
    for limit in ("0", "100000", "x"):
        assert call("GET", f"main/failures/?limit={limit}").status_code == 400
    assert call("GET", f"main/failures/?after={10**30}").json()["items"] == []


def test_a_redelivery_goes_alone_between_two_pages_and_is_deleted_once_taken(call, failed):
    first, second, _ = call("GET", "main/failures/").json()["items"]
    answer = call("PUT", f"main/failures/{first['id']}/")
    assert answer.status_code == 202
    assert answer.json()["retrying"]
    receiver = Receiver()
    receiver.healed = True

    def work(*_):
        until(lambda: receiver.names() == ["bad 1"])
        until(lambda: Failure.objects.count() == 2)
        add("next")
        until(lambda: receiver.names() == ["bad 1", "next"])

    run(work, receiver)
    page = receiver.taken[0]
    assert page.keys() == {"subscription", "items"}, "it has no place among the pages"
    assert in_chain(receiver.taken[1:])
    assert receiver.sent[0].headers["webhook-id"] == notification.identify(str(failed.pk), [first["change"]["version"]])
    assert now(failed).delivered == 3
    assert call("GET", "main/failures/").json()["items"][0]["id"] == second["id"]
    assert call("PUT", f"main/failures/{first['id']}/").status_code == 404


@pytest.mark.parametrize("status", [500, 409, 503])
def test_a_dead_letter_refused_again_stays_without_harm_to_the_subscription(call, failed, status):
    (first, *_) = call("GET", "main/failures/").json()["items"]
    call("PUT", f"main/failures/{first['id']}/")
    before = now(failed)

    def work(*_):
        until(lambda: not Failure.objects.filter(retrying=True).exists())

    run(work, HttpRecorder(Response(status=status, body_start=b"still")))
    again = call("GET", "main/failures/").json()["items"][0]
    assert (again["id"], again["attempts"], again["status"]) == (first["id"], first["attempts"] + 1, status)
    assert not again["retrying"]
    after = now(failed)
    assert (after.state, after.attempts, after.last_sent_cursor) == (
        before.state,
        before.attempts,
        before.last_sent_cursor,
    )


def test_a_410_to_a_redelivery_unsubscribes(call, failed):
    (first, *_) = call("GET", "main/failures/").json()["items"]
    call("PUT", f"main/failures/{first['id']}/")
    run(lambda *_: until(lambda: now(failed).state == "unsubscribed"), HttpRecorder(Response(status=410)))
    assert Failure.objects.count() == 3


def test_a_dropped_dead_letter_is_gone(call, failed):
    (first, *rest) = call("GET", "main/failures/").json()["items"]
    assert call("DELETE", f"main/failures/{first['id']}/").status_code == 204
    assert call("DELETE", f"main/failures/{first['id']}/").status_code == 404
    assert call("DELETE", f"main/failures/{10**30}/").status_code == 404
    assert call("GET", "main/failures/").json()["items"] == rest


def test_other_consumers_cannot_see_retry_or_drop_dead_letters(call, failed):
    _, other = consumers.add("other", ["*"], may_subscribe=True)
    _, reader = consumers.add("reader", ["*"])
    (first, *_) = call("GET", "main/failures/").json()["items"]
    for token, status in ((other, 404), (reader, 403), ("psp_none", 401)):
        for method, path in (("GET", ""), ("PUT", f"{first['id']}/"), ("DELETE", f"{first['id']}/")):
            answer = call(method, f"main/failures/{path}", token=token)
            assert answer.status_code == status
            assert answer.headers["Content-Type"] == "application/problem+json"
    assert not Failure.objects.filter(retrying=True).exists()
    subscription = now(failed)
    made, _ = service.put(
        consumers.consumers().get(name="other"),
        "main",
        service.SubscriptionSpec(callback="http://127.0.0.1:9/", models=["shop.customer"]),
    )
    assert made.pk != subscription.pk
    for method in ("PUT", "DELETE"):
        assert call(method, f"main/failures/{first['id']}/", token=other).status_code == 404
    assert Failure.objects.count() == 3


def test_a_model_no_longer_granted_is_neither_shown_nor_sent(call, failed, consumer, subscribe):
    (first, *_) = call("GET", "main/failures/").json()["items"]
    call("PUT", f"main/failures/{first['id']}/")
    subscribe(models=["shop.order"])
    consumer.granted = ["shop.order"]
    consumer.save()
    assert call("GET", "main/failures/").json()["items"] == []
    assert call("DELETE", f"main/failures/{first['id']}/").status_code == 404
    # One that is granted, behind it: once that has been sent, the other would have been.
    Failure.objects.create(
        subscription=failed,
        version=10**9,
        model="shop.order",
        op="I",
        item=f'{{"version":{10**9},"old":null,"new":null}}',
        attempts=1,
        error="no",
        retrying=True,
    )
    transport = HttpRecorder()
    run(lambda *_: until(lambda: not Failure.objects.filter(model="shop.order").exists()), transport)
    assert transport.sent
    assert all(b"shop.customer" not in sent.body for sent in transport.sent)


def test_a_subscription_is_deleted_with_its_dead_letters(call, failed):
    assert call("DELETE", "main/").status_code == 204
    assert not Failure.objects.exists()
