"""Workers and followers whose machines have wrong clocks: leases, back-off, ages, signatures go by the database's."""

from __future__ import annotations

import json
import sys

import pytest
from django.db import connection

from pubsubpull.models import Subscription, Worker
from pubsubpull.pull import consumers
from pubsubpull.replica.models import ReplicaState
from pubsubpull.subscriptions import service
from tests import processes
from tests.faults import receiving
from tests.shop.models import Customer

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

TEN_MINUTES, TEN_YEARS = 600.0, 10 * 365.25 * 86400
TIMES = {"LEASE": 2.0, "POLL_INTERVAL": 0.01, "IDLE_INTERVAL": 0.05, "BACKOFF_FIRST": 0.2, "BACKOFF_LIMIT": 1.0}


def worker(tmp_path, off, **settings):
    """Start a worker whose clock is so many seconds off."""
    return processes.running(
        *(sys.executable, "manage.py", "pubsubpull_deliver"),
        log=tmp_path / "deliver.log",
        DJANGO_SETTINGS_MODULE="tests.delivery_settings",
        PUBSUBPULL_SETTINGS=json.dumps({**TIMES, **settings}),
        CLOCK_OFF=str(off),
    )


def seconds_from_now(model, field):
    """Return how far a time is from the database's own, in seconds."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT extract(epoch FROM {field} - clock_timestamp()) FROM {model._meta.db_table} LIMIT 1")
        return float(cursor.fetchone()[0])


@pytest.mark.parametrize("off", [TEN_MINUTES, -TEN_MINUTES, TEN_YEARS, -TEN_YEARS])
def test_a_worker_with_a_wrong_clock_changes_nothing(tmp_path, off):
    consumer, _ = consumers.add("mirror", ["*"], may_subscribe=True)
    receiver = receiving.Receiver(0)
    receiver.mood = "refusing"
    with receiving.serving(receiver) as port:
        wish = service.SubscriptionSpec(callback=f"http://127.0.0.1:{port}/", models=["shop.customer"])
        receiver.secrets["all"] = service.secret_of(service.put(consumer, "all", wish)[0])
        Customer.objects.create(name="first")
        with worker(tmp_path, off, RETENTION=3600.0, DISABLE_AFTER=3600.0):
            processes.until(lambda: Subscription.objects.filter(state="failing", attempts__gt=1).exists())
            assert -60 < seconds_from_now(Subscription, "failing_since") <= 0
            assert -60 < seconds_from_now(Subscription, "next_attempt") < 2
            assert 0 < seconds_from_now(Worker, "expires") <= TIMES["LEASE"]
        receiver.mood = "well"
        with worker(tmp_path, 0.0):
            processes.until(lambda: receiver.copies["all"].seen)
        Customer.objects.create(name="second")
        with worker(tmp_path, off):
            processes.until(lambda: len(receiver.copies["all"].seen) == 2)
            processes.until(lambda: Subscription.objects.get().delivered == 2)
    assert receiver.refused == 0, "a signature had the time of a wrong clock"
    assert -60 < seconds_from_now(Subscription, "last_delivered") <= 1


@pytest.mark.parametrize("off", [TEN_MINUTES, -TEN_YEARS, TEN_YEARS])
def test_a_follower_with_a_wrong_clock_changes_nothing(tmp_path, off):
    token = consumers.add("billing", ["*"])[1]
    Customer.objects.create(name="a" * 5)
    refuse = "ALTER TABLE replicas_customer ADD CONSTRAINT never CHECK (name <> 'aaaaa')"
    given = {
        "log": tmp_path / "follow.log",
        "DJANGO_SETTINGS_MODULE": "tests.replica_settings",
        "SHOP_TOKEN": token,
        "CLOCK_OFF": str(off),
    }
    with processes.gunicorn(tmp_path) as url, connection.cursor() as cursor:
        cursor.execute(refuse)
        try:
            follow = (sys.executable, "-m", "django", "pubsubpull_follow")
            with processes.running(*follow, SHOP_URL=f"{url}/pubsubpull/", **given):
                processes.until(lambda: ReplicaState.objects.filter(name="replicas.customer", attempts__gt=1).exists())
                cursor.execute(
                    "SELECT extract(epoch FROM next_attempt - clock_timestamp()) FROM pubsubpull_replica"
                    " WHERE name = 'replicas.customer'"
                )
                assert -30 < cursor.fetchone()[0] < 5
                cursor.execute("ALTER TABLE replicas_customer DROP CONSTRAINT never")
                processes.until(lambda: ReplicaState.objects.get(name="replicas.customer").state == "following")
        finally:
            cursor.execute("ALTER TABLE replicas_customer DROP CONSTRAINT IF EXISTS never")
