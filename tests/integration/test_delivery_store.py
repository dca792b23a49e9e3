"""What workers read and write: claims, shares and fencing; and a worker within the test's own process."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import uuid

import pytest
from django.db import connection
from django.db.utils import OperationalError

from pubsubpull import exceptions
from pubsubpull.delivery import checkpoints, store
from pubsubpull.log import feed
from pubsubpull.log.cursor import Cursor
from pubsubpull.models import Subscription, Worker
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests.delivering import run, until
from tests.exchanges import HttpRecorder, Response
from tests.sessions import session
from tests.shop.models import Customer, Order

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def consumer():
    return consumers.add("billing", ["shop.customer", "shop.order"], may_subscribe=True)[0]


@pytest.fixture
def subscribe(consumer):
    def make(name="main", **given):
        wish = service.Wish(**{"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], **given})
        return service.put(consumer, name, wish)[0]

    return make


def live(name="w", lease=60.0):
    found = store.Store(using="default", worker=uuid.uuid4())
    found.renew(name=name, lease=lease)
    return found


def record_of(row, **changes):
    return dataclasses.replace(checkpoints.record(store.held(row)), **changes)


def now(made):
    return Subscription.objects.get(pk=made.pk)


def test_a_stale_workers_write_is_refused(subscribe):
    made = subscribe()
    one, other = live("one", lease=-1), live("other")
    assert one.claim(5) == [], "a worker whose own lease has ended takes nothing"
    one.renew(name="one", lease=60)
    (stale,) = one.claim(5)
    Worker.objects.filter(name="one").update(expires="2000-01-01T00:00Z")
    (fresh,) = other.claim(5)
    assert one.record([record_of(stale, last_error="stale")]) == set()
    one.move("stale", [(made.pk, stale[1])])
    one.release()
    assert other.record([record_of(fresh, last_error="fresh", delivered=2)]) == {made.pk}
    assert (now(made).last_error, now(made).cursor, now(made).worker) == ("fresh", made.cursor, other.worker)
    assert now(made).delivered == 2


def test_what_a_worker_held_before_it_took_the_subscription_again_is_refused(subscribe):
    made = subscribe()
    holder = live()
    (before,) = holder.claim(5)
    subscribe(batch=5)
    (after,) = holder.claim(5)
    assert holder.record([record_of(before, last_error="before")]) == set()
    holder.move("before", [(made.pk, before[1])])
    assert holder.record([record_of(after, last_error="after")]) == {made.pk}
    assert (now(made).last_error, now(made).cursor) == ("after", made.cursor)


@pytest.mark.parametrize("change", ["put", "delete"])
def test_a_change_by_its_consumer_fences_the_worker(subscribe, consumer, change):
    made = subscribe()
    holder = live()
    (row,) = holder.claim(5)
    if change == "put":
        subscribe(batch=5)
    else:
        service.delete(consumer, "main")
    assert holder.record([record_of(row)]) == set()
    assert not Subscription.objects.filter(pk=made.pk, worker=holder.worker).exists()


def test_what_another_is_about_to_take_is_passed_by(subscribe):
    first, second = sorted((subscribe("a"), subscribe("b")), key=lambda one: one.pk)
    taker = live()
    with session() as other:
        other.execute("BEGIN")
        other.execute("SELECT FROM pubsubpull_subscription WHERE id = %s FOR UPDATE", [first.pk])
        assert [row[0] for row in taker.claim(5)] == [second.pk]
        other.execute("ROLLBACK")
    assert [row[0] for row in taker.claim(5)] == [first.pk]


def test_only_what_may_be_delivered_is_taken(subscribe, consumer):
    subscribe("paused", paused=True)
    subscribe("active")
    assert [row[2] for row in live().claim(5)] == ["active"]
    Subscription.objects.update(worker=None)
    consumer.active = False
    consumer.save()
    taker = live()
    assert taker.claim(5) == []
    assert taker.standing()[1] == 0
    assert not taker.look().free


def test_a_dead_worker_without_subscriptions_is_forgotten(subscribe):
    subscribe()
    dead = live("dead")
    dead.claim(1)
    Worker.objects.update(expires="2000-01-01T00:00Z")
    taker = live("taker")
    assert taker.look().free
    assert Worker.objects.count() == 2, "its subscription still names it"
    taker.claim(1)
    taker.renew(name="taker", lease=60)
    assert [w.name for w in Worker.objects.all()] == ["taker"]


def test_a_cursor_that_is_none_disables_the_subscription(subscribe):
    made = subscribe()
    Subscription.objects.update(cursor="broken")
    holder = live()
    (row,) = holder.claim(1)
    with pytest.raises(exceptions.CursorInvalid):
        store.held(row)
    assert holder.record([store.broken(row)]) == {made.pk}
    assert (now(made).state, now(made).worker) == ("disabled", None)


def test_each_gets_what_it_wants_of_one_read(subscribe):
    subscribe("customers")
    subscribe("orders", models=["shop.order"])
    subscribe("deletes", ops=["delete"])

    def work(_, transport):
        Customer.objects.create(name="a").delete()
        Order.objects.create()
        until(lambda: sum(sent.body.count(b'"version"') for sent in transport.sent) == 4)

    run(work)
    assert list(Subscription.objects.order_by("name").values_list("name", "delivered")) == [
        ("customers", 2),
        ("deletes", 1),
        ("orders", 1),
    ]


def test_the_cursor_of_who_wants_nothing_moves_too_and_is_recorded_at_the_end(subscribe):
    made = subscribe(models=["shop.order"])
    subscribe("other")

    def work(worker, transport):
        Customer.objects.create(name="a")
        until(lambda: transport.sent and worker.shares.held[made.pk].group.cursor.seq > Cursor.decode(made.cursor).seq)

    run(work)
    cursor = Cursor.decode(now(made).cursor)
    assert cursor.seq > Cursor.decode(made.cursor).seq
    assert now(made).told == made.cursor


def test_a_backlog_larger_than_what_is_read_ahead_comes_whole_and_in_order(subscribe):
    made = subscribe(batch=90)
    Customer.objects.bulk_create([Customer(name=str(n)) for n in range(3500)])
    transport = HttpRecorder()
    run(lambda *_: until(lambda: now(made).delivered == 3500), transport)
    names = [part.split(b'"')[0] for sent in transport.sent for part in sent.body.split(b'"name": "')[1:]]
    assert [int(name) for name in names] == list(range(3500))


def test_an_expired_cursor_disables_with_what_to_do(subscribe):
    made = subscribe()
    cursor = Cursor.decode(made.cursor)
    Subscription.objects.update(cursor=dataclasses.replace(cursor, history=cursor.history + 1).encode())
    run(lambda *_: until(lambda: now(made).state == "disabled"))
    assert "Read all instances" in now(made).last_error
    assert now(made).worker is None


def test_a_broken_cursor_disables_and_the_worker_goes_on(subscribe):
    made = subscribe()
    subscribe("good")
    Subscription.objects.filter(pk=made.pk).update(cursor="broken")

    def work(_, transport):
        until(lambda: now(made).state == "disabled")
        Customer.objects.create(name="a")
        until(lambda: transport.sent)

    run(work)


def test_what_a_consumer_is_no_longer_granted_is_sent_no_more(subscribe, consumer):
    made = subscribe(models=["shop.customer", "shop.order"])

    def work(_, transport):
        until(lambda: now(made).worker)
        consumer.granted = ["shop.order"]
        consumer.save()
        lease = now(made).lease
        until(lambda: now(made).lease > lease + 1 and now(made).worker)
        Customer.objects.create(name="a")
        Order.objects.create()
        until(lambda: transport.sent)

    transport = HttpRecorder()
    run(work, transport, LEASE=0.6)
    assert all(b"shop.customer" not in sent.body for sent in transport.sent)


def test_what_names_the_worker_without_its_knowing_is_let_go_and_taken_again(subscribe):
    made = subscribe()

    def work(one, _):
        until(lambda: now(made).worker)
        Subscription.objects.update(lease=50)
        until(lambda: now(made).lease > 50 and now(made).worker == one.id)

    run(work, LEASE=0.6)


def test_an_error_of_the_transport_that_nobody_foresaw_is_a_failure_and_logged(subscribe, caplog):
    made = subscribe()
    errors = [RuntimeError("unforeseen")]

    def answer(_):
        if errors:
            raise errors.pop()
        return Response(status=200)

    Customer.objects.create(name="before")
    made = subscribe(after="start")
    run(lambda *_: until(lambda: now(made).delivered), HttpRecorder(answer))
    assert "broke off" in caplog.text


def test_a_worker_sends_nothing_while_its_lease_is_not_sure(subscribe):
    made = subscribe()

    def work(one, transport):
        until(lambda: now(made).worker)
        with session() as other:
            other.execute("BEGIN")
            other.execute("LOCK TABLE pubsubpull_worker IN SHARE MODE")
            until(lambda: one.shares.alive_until < time.monotonic())
            Customer.objects.create(name="a")
            until(lambda: any(h.pending.count or h.current for h in list(one.shares.held.values())))
            assert not transport.sent
            other.execute("ROLLBACK")
        until(lambda: transport.sent)

    run(work, LEASE=0.5)


def test_the_recorder_keeps_what_could_not_be_recorded(subscribe):
    subscribe()
    (row,) = live().claim(1)
    held = store.held(row)
    answers = [OperationalError("away")]
    written, lost = [], []

    async def write(records):
        if answers:
            raise answers.pop()
        written.extend(records)
        return set()

    async def main():
        one = checkpoints.Recorder(write=write, tell=lambda *_: None, lost=lost.append)
        held.delivered = 3
        one.note(held)
        with pytest.raises(OperationalError):
            await one.flush()
        await one.flush()
        await one.flush()

    asyncio.run(main())
    assert [record.delivered for record in written] == [3]
    assert lost == [held]


def test_a_write_that_goes_on_when_who_asked_for_it_is_cancelled_is_counted_once(subscribe):
    subscribe()
    held = store.held(live().claim(1)[0])
    written = []

    async def main():
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def write(records):
            begun.set()
            await go_on.wait()
            written.extend(records)
            return {held.id}

        one = checkpoints.Recorder(write=write, tell=lambda *_: None, lost=lambda _: None)
        held.delivered = 3
        one.note(held)
        first = asyncio.create_task(one.flush())
        await begun.wait()
        first.cancel()
        held.delivered += 2
        one.note(held)
        second = asyncio.create_task(one.flush())
        go_on.set()
        await second

    asyncio.run(main())
    assert [record.delivered for record in written] == [3, 2]


def settled():
    with connection.cursor() as cursor:
        cursor.execute("SELECT settled, next_settled FROM pubsubpull_log")
        return cursor.fetchone()


def test_the_log_is_settled_by_the_way(subscribe):
    Customer.objects.create(name="a")
    before = settled()

    def work(*_):
        until(lambda: settled() != before)

    run(work)


def test_a_rows_cursor_after_its_last_version_is_the_cursor_of_all():
    cursor = feed.present().cursor()
    for name in "abc":
        Customer.objects.create(name=name)
    read = feed.rows(cursor, limit=10)
    assert read.cursor_after(read.rows[-1].version) == read.cursor
    rest = feed.rows(Cursor.decode(read.cursor_after(read.rows[0].version).encode()), limit=10)
    assert rest.rows == read.rows[1:]
    assert rest.cursor == read.cursor


def test_many_that_start_at_different_cursors_soon_read_together(subscribe):
    for n in range(12):
        Customer.objects.create(name=str(n))
        subscribe(f"s{n}", models=["shop.order"])

    def work(one, _):
        until(lambda: len(one.shares.held) == 12)
        until(lambda: len({held.group for held in list(one.shares.held.values())}) == 1)

    # They do not wait for the next poll, which is far away.
    run(work, IDLE_INTERVAL=60.0, POLL_INTERVAL=60.0)
