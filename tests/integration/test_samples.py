"""Samples: one for all processes, few enough, with the captured, delivered and written rows."""

from __future__ import annotations

import asyncio
import concurrent.futures
import datetime as dt
import logging

import pytest
from django.db import connection
from django.utils import timezone

from pubsubpull import conf
from pubsubpull.base import threads
from pubsubpull.delivery import meter
from pubsubpull.models import Counter, Sample, Subscription
from pubsubpull.operate import maintenance, samples
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests import delivering
from tests.delivering import until
from tests.sessions import session
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def made():
    consumer, _ = consumers.add("billing", ["shop.customer"], may_subscribe=True)
    wish = service.SubscriptionSpec(callback="http://127.0.0.1:9/", models=["shop.customer"])
    return service.put(consumer, "main", wish)[0]


def ago(**given):
    return timezone.now() - dt.timedelta(**given)


def put(at, **given):
    return Sample.objects.create(at=at, **{"captured": 1, "delivered": 1, "bytes": 1, "details": {}, **given})


def test_a_sample_counts_captured_delivered_and_written_rows(made):
    Customer.objects.create(name="a")
    Subscription.objects.update(delivered=7)
    Counter.objects.create(name=meter.CHANGES, label=meter.DELIVERED_LABEL, value=5)
    before = timezone.now()
    assert samples.take("default")
    one, after = Sample.objects.get(), timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(id), 'shop_customer'::regclass::oid::text FROM pubsubpull_change")
        last, oid = cursor.fetchone()
    assert (one.captured, one.delivered) == (last, 5)
    assert one.bytes > 0
    assert one.details["subscriptions"] == {str(made.pk): 7}
    assert oid in one.details["tables"]
    assert before - dt.timedelta(seconds=samples.SAMPLE_INTERVAL) < one.at <= after
    assert one.at.timestamp() % samples.SAMPLE_INTERVAL == 0


def test_there_is_one_sample_of_a_time_from_any_worker():
    """Of two processes that both have found none, the second waits for the first, and takes none."""
    hundred_years = 3_155_760_000  # no other time begins within the test
    with session() as other:
        other.execute("BEGIN")
        other.execute("INSERT INTO pubsubpull_sample VALUES ('epoch', 0, 0, 0, NULL)")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            late = pool.submit(taken, hundred_years)
            until(waiting)
            other.execute("COMMIT")
            assert not late.result(60)
    assert not samples.take("default", every=hundred_years)


def taken(every):
    try:
        return samples.take("default", every=every)
    finally:
        connection.close()


def waiting():
    """Say whether a session waits for another's transaction to end."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'transactionid'"
        )
        return cursor.fetchone()[0]


def test_samples_are_thinned_out_after_an_hour_and_forgotten_after_a_day():
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    kept = {
        put(ago(minutes=30)).at,
        put(hour - dt.timedelta(hours=3)).at,
        put(hour - dt.timedelta(hours=3, minutes=5)).at,
    }
    put(hour - dt.timedelta(hours=3, seconds=10))
    put(hour - dt.timedelta(hours=30))
    assert samples.take("default")
    assert set(Sample.objects.order_by("at").values_list("at", flat=True)[:3]) == kept
    assert Sample.objects.count() == 4


def test_only_the_latest_samples_keep_their_details():
    put(ago(minutes=5))
    put(ago(minutes=2))
    samples.take("default")
    assert [one.details is None for one in Sample.objects.order_by("at")] == [True, False, False]


def test_a_worker_and_the_maintenance_pass_take_samples():
    delivering.run(lambda *_: delivering.until(Sample.objects.exists))
    Sample.objects.all().delete()
    maintenance.run(conf.get(), dry_run=True)
    assert not Sample.objects.exists()
    maintenance.run(conf.get())
    assert Sample.objects.count() == 1


def test_a_missing_permission_of_a_worker_is_reported_once_and_delivery_goes_on(caplog):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE pubsubpull_sample RENAME TO pubsubpull_elsewhere")

    async def twice():
        database = threads.Database("default", "test")
        sampler = samples.Sampler(using="default")
        await sampler.run_once()
        await sampler.run_once()
        await database(back)
        await sampler.run_once()
        await sampler.close()
        await database.close()

    def back():
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE pubsubpull_elsewhere RENAME TO pubsubpull_sample")

    with caplog.at_level(logging.WARNING, "pubsubpull"):
        asyncio.run(twice())
    assert [r.getMessage() for r in caplog.records] == [
        'pubsubpull: no samples for the operators\' page: relation "pubsubpull_sample" does not exist'
    ]
    assert Sample.objects.count() == 1


def test_the_meter_counts_the_changes_that_were_taken(made):
    def work(_worker, transport):
        for number in range(3):
            Customer.objects.create(name=str(number))
        delivering.until(lambda: Subscription.objects.get().delivered == 3)

    delivering.run(work)
    assert Counter.objects.get(name=meter.CHANGES).value == 3
