"""The reads and writes of workers: claims, shares and fencing; and a worker within the test's own process."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import uuid

import pytest
from django.db import connection
from django.db.utils import OperationalError

from pubsubpull.delivery import checkpoints, store
from pubsubpull.delivery.groups import Groups
from pubsubpull.delivery.leases import Leases
from pubsubpull.log import feed
from pubsubpull.log.cursor import Cursor
from pubsubpull.models import Subscription, Worker
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from pubsubpull.transports.base import Delivered
from pubsubpull.transports.recording import RecordingTransport
from tests.delivering import run, until
from tests.sessions import session
from tests.shop.models import Customer, Order

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def consumer():
    return consumers.add("billing", ["shop.customer", "shop.order"], may_subscribe=True)[0]


@pytest.fixture
def subscribe(consumer):
    def make(name="main", **given):
        wish = service.SubscriptionSpec(**{"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], **given})
        return service.put(consumer, name, wish)[0]

    return make


def live(name="w", lease=60.0):
    found = store.Store(using="default", worker=uuid.uuid4())
    found.renew(name=name, lease=lease)
    return found


def claim(holder, at_most=5):
    """Return the leases of the subscriptions that a worker takes, all of which can be read."""
    leases, unreadable = holder.claim(at_most)
    assert not unreadable
    return leases


def checkpoint_of(lease, **changes):
    return {lease: dataclasses.replace(lease.checkpoint, **changes)}


class Signals:
    """Takes note of the states that operators are told of."""

    def __init__(self):
        self.told = []

    def recorded(self, id_, before, after, *, error):
        self.told.append((id_, before, after, error))


def recorder(writes, lease):
    """Return a recorder that writes by `writes`, and the leases that it drops from."""
    leases = Leases(groups=Groups())
    leases.add(lease)
    holder = store.Store(using="default", worker=uuid.uuid4())
    return checkpoints.Recorder(store=holder, writes=writes, signals=Signals(), leases=leases), leases


def now(made):
    return Subscription.objects.get(pk=made.pk)


def test_a_stale_workers_write_is_refused(subscribe):
    made = subscribe()
    one, other = live("one", lease=-1), live("other")
    assert claim(one) == [], "a worker whose own lease has ended takes nothing"
    one.renew(name="one", lease=60)
    (stale,) = claim(one)
    Worker.objects.filter(name="one").update(expires="2000-01-01T00:00Z")
    (fresh,) = claim(other)
    assert one.record(checkpoint_of(stale, last_error="stale")) == set()
    one.move("stale", [stale])
    one.release()
    assert other.record(checkpoint_of(fresh, last_error="fresh", delivered=2)) == {made.pk}
    assert (now(made).last_error, now(made).cursor, now(made).worker) == ("fresh", made.cursor, other.worker)
    assert now(made).delivered == 2


def test_an_old_lease_of_the_same_worker_is_refused(subscribe):
    made = subscribe()
    holder = live()
    (before,) = claim(holder)
    subscribe(batch=5)
    (after,) = claim(holder)
    assert holder.record(checkpoint_of(before, last_error="before")) == set()
    holder.move("before", [before])
    assert holder.record(checkpoint_of(after, last_error="after")) == {made.pk}
    assert (now(made).last_error, now(made).cursor) == ("after", made.cursor)


@pytest.mark.parametrize("change", ["put", "delete"])
def test_a_change_by_its_consumer_fences_the_worker(subscribe, consumer, change):
    made = subscribe()
    holder = live()
    (lease,) = claim(holder)
    if change == "put":
        subscribe(batch=5)
    else:
        service.delete(consumer, "main")
    assert holder.record(checkpoint_of(lease)) == set()
    assert not Subscription.objects.filter(pk=made.pk, worker=holder.worker).exists()


def test_a_subscription_that_another_worker_is_claiming_is_skipped(subscribe):
    first, second = sorted((subscribe("a"), subscribe("b")), key=lambda one: one.pk)
    taker = live()
    with session() as other:
        other.execute("BEGIN")
        other.execute("SELECT FROM pubsubpull_subscription WHERE id = %s FOR UPDATE", [first.pk])
        assert [lease.terms.id for lease in claim(taker)] == [second.pk]
        other.execute("ROLLBACK")
    assert [lease.terms.id for lease in claim(taker)] == [first.pk]


def test_only_deliverable_subscriptions_are_claimed(subscribe, consumer):
    subscribe("paused", paused=True)
    subscribe("active")
    assert [lease.terms.name for lease in claim(live())] == ["active"]
    Subscription.objects.update(worker=None)
    consumer.active = False
    consumer.save()
    taker = live()
    assert claim(taker) == []
    assert taker.standing()[1] == 0
    assert not taker.poll().free


def test_a_dead_worker_without_subscriptions_is_forgotten(subscribe):
    subscribe()
    dead = live("dead")
    dead.claim(1)
    Worker.objects.update(expires="2000-01-01T00:00Z")
    taker = live("taker")
    assert taker.poll().free
    assert Worker.objects.count() == 2, "its subscription still names it"
    taker.claim(1)
    taker.renew(name="taker", lease=60)
    assert [w.name for w in Worker.objects.all()] == ["taker"]


def test_a_cursor_that_is_none_disables_the_subscription(subscribe):
    made = subscribe()
    Subscription.objects.update(cursor="broken")
    holder = live()
    leases, unreadable = holder.claim(1)
    assert (leases, [subscription.id for subscription in unreadable]) == ([], [made.pk])
    holder.disable(unreadable, error="unreadable")
    assert now(made).last_error == "unreadable"
    assert (now(made).state, now(made).worker) == ("disabled", None)


def test_each_subscription_gets_its_part_of_one_read(subscribe):
    subscribe("customers")
    subscribe("orders", models=["shop.order"])
    subscribe("deletes", ops=["delete"])

    def work(_, transport):
        Customer.objects.create(name="a").delete()
        Order.objects.create()
        until(lambda: sum(sent.message.body.count(b'"version"') for sent in transport.sent) == 4)

    run(work)
    assert list(Subscription.objects.order_by("name").values_list("name", "delivered")) == [
        ("customers", 2),
        ("deletes", 1),
        ("orders", 1),
    ]


def test_a_subscription_without_matching_changes_moves_too_and_is_recorded_at_the_end(subscribe):
    made = subscribe(models=["shop.order"])
    subscribe("other")

    def work(worker, transport):
        Customer.objects.create(name="a")
        until(
            lambda: (
                transport.sent
                and worker.groups.of(worker.leases.held[made.pk]).cursor.seq > Cursor.decode(made.cursor).seq
            )
        )

    run(work)
    cursor = Cursor.decode(now(made).cursor)
    assert cursor.seq > Cursor.decode(made.cursor).seq
    assert now(made).last_sent_cursor == made.cursor


def test_a_backlog_larger_than_the_prefetch_comes_whole_and_in_order(subscribe):
    made = subscribe(batch=90)
    Customer.objects.bulk_create([Customer(name=str(n)) for n in range(3500)])
    transport = RecordingTransport()
    run(lambda *_: until(lambda: now(made).delivered == 3500), transport)
    names = [part.split(b'"')[0] for sent in transport.sent for part in sent.message.body.split(b'"name": "')[1:]]
    assert [int(name) for name in names] == list(range(3500))


def test_an_expired_cursor_disables_the_subscription_with_a_remedy(subscribe):
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


def test_a_model_no_longer_granted_is_no_longer_sent(subscribe, consumer):
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

    transport = RecordingTransport()
    run(work, transport, LEASE=0.6)
    assert all(b"shop.customer" not in sent.message.body for sent in transport.sent)


def test_a_lease_unknown_to_its_worker_is_released_and_claimed_again(subscribe):
    made = subscribe()

    def work(one, _):
        until(lambda: now(made).worker)
        Subscription.objects.update(lease=50)
        until(lambda: now(made).lease > 50 and now(made).worker == one.id)

    run(work, LEASE=0.6)


def test_an_unexpected_error_of_the_transport_is_a_logged_failure(subscribe, caplog):
    made = subscribe()
    errors = [RuntimeError("unforeseen")]

    def answer(_):
        if errors:
            raise errors.pop()
        return Delivered()

    Customer.objects.create(name="before")
    made = subscribe(after="start")
    run(lambda *_: until(lambda: now(made).delivered), RecordingTransport(answer))
    assert "broke off" in caplog.text


def test_a_worker_sends_nothing_while_its_lease_is_not_sure(subscribe):
    made = subscribe()

    def work(one, transport):
        until(lambda: now(made).worker)
        with session() as other:
            other.execute("BEGIN")
            other.execute("LOCK TABLE pubsubpull_worker IN SHARE MODE")
            until(lambda: one.assignment.alive_until < time.monotonic())
            Customer.objects.create(name="a")
            until(lambda: any(h.pending.count or h.current for h in list(one.leases.held.values())))
            assert not transport.sent
            other.execute("ROLLBACK")
        until(lambda: transport.sent)

    run(work, LEASE=0.5)


def test_unwritten_checkpoints_are_kept(subscribe):
    subscribe()
    (lease,) = claim(live())
    answers = [OperationalError("away")]
    written = []

    async def writes(_, records):
        if answers:
            raise answers.pop()
        written.extend(records.values())
        return set()

    one, leases = recorder(writes, lease)

    async def main():
        lease.note(dataclasses.replace(lease.checkpoint, delivered=3))
        one.mark(lease)
        with pytest.raises(OperationalError):
            await one.flush()
        await one.flush()
        await one.flush()

    asyncio.run(main())
    assert [checkpoint.delivered for checkpoint in written] == [3]
    assert lease.dropped
    assert not leases.held
    assert not one.signals.told, "what was refused was not recorded"


def test_a_write_that_outlives_its_cancelled_caller_is_counted_once(subscribe):
    subscribe()
    (lease,) = claim(live())
    written = []

    async def main():
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def writes(_, records):
            begun.set()
            await go_on.wait()
            written.extend(records.values())
            return {lease.terms.id}

        one, _ = recorder(writes, lease)
        lease.note(dataclasses.replace(lease.checkpoint, delivered=3))
        one.mark(lease)
        first = asyncio.create_task(one.flush())
        await begun.wait()
        first.cancel()
        lease.note(dataclasses.replace(lease.checkpoint, delivered=5))
        one.mark(lease)
        second = asyncio.create_task(one.flush())
        go_on.set()
        await second

    asyncio.run(main())
    assert [checkpoint.delivered for checkpoint in written] == [3, 5]
    assert lease.recorded is lease.checkpoint


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
        until(lambda: len(one.leases.held) == 12)
        until(lambda: len({one.groups.of(lease) for lease in list(one.leases.held.values())}) == 1)

    # They do not wait for the next poll, which is far away.
    run(work, IDLE_INTERVAL=60.0, POLL_INTERVAL=60.0)
