"""Replicas followed by real processes, which are killed, beside real pushes."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import signal
import sys
import threading
import time

import psycopg
import pytest
from django.db import connection

from pubsubpull.pull import consumers
from pubsubpull.replica.models import ReplicaState
from tests import processes
from tests.sessions import names, session
from tests.shop.models import Customer, Order

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

WRITES = [
    "INSERT INTO shop_customer (name, email) VALUES (random()::text, 'x')",
    "INSERT INTO shop_customer (name, email) SELECT random()::text, 'many' FROM generate_series(1, 20)",
    "UPDATE shop_customer SET name = random()::text WHERE id % 7 = {n} % 7",
    "DELETE FROM shop_customer c WHERE id % 31 = {n} AND NOT EXISTS (SELECT FROM shop_order WHERE customer_id = c.id)",
    "INSERT INTO shop_order (customer_id, reference, quantity, total, status, internal_note, card) "
    "SELECT id, 'r', {n}, 1.5, 'new', '', '' FROM shop_customer ORDER BY random() LIMIT 3",
    "UPDATE shop_order SET status = 'paid', quantity = quantity + 1 WHERE id % 5 = {n} % 5",
    "DELETE FROM shop_order WHERE id % 11 = {n}",
    "INSERT INTO shop_stock VALUES ('w', {n}, 1) "
    "ON CONFLICT (warehouse, article) DO UPDATE SET amount = shop_stock.amount + 1",
    "DELETE FROM shop_stock WHERE article = {n}",
]
PAIRS = {
    "SELECT id, name, email FROM shop_customer": "SELECT id, name, email FROM replicas_customer",
    "SELECT id, customer_id, reference, quantity, total, status FROM shop_order": (
        "SELECT id, customer_id, number, quantity, total, status FROM replicas_order"
    ),
    "SELECT id, upper(name) FROM shop_customer": "SELECT source_id, shout FROM replicas_shout",
    "SELECT id, reference, status FROM shop_order WHERE status IN ('paid', 'sent')": "TABLE replicas_paidorder",
    "SELECT id, quantity FROM shop_order WHERE quantity > 10": "TABLE replicas_bigorder",
    "TABLE shop_stock": "TABLE replicas_stock",
}


def different():
    """Return how many rows differ, by pair."""
    with connection.cursor() as run:
        found = {}
        for source, copy in PAIRS.items():
            run.execute(f"SELECT count(*) FROM (({source} EXCEPT {copy}) UNION ALL ({copy} EXCEPT {source})) AS d")
            found[copy] = run.fetchone()[0]
    return {copy: count for copy, count in found.items() if count}


@pytest.fixture
def token():
    return consumers.add("billing", ["*"], may_subscribe=True)[1]


def follower(tmp_path, url, token, *arguments):
    """Start a process that follows."""
    return processes.running(
        *(sys.executable, "-m", "django", "pubsubpull_follow", *arguments),
        log=tmp_path / "follow.log",
        DJANGO_SETTINGS_MODULE="tests.replica_settings",
        SHOP_URL=f"{url}/pubsubpull/",
        SHOP_TOKEN=token,
    )


@contextlib.contextmanager
def writing(count=2):
    """Write at random until the block ends."""
    stop = threading.Event()
    given = names()

    def write(seed):
        dice = random.Random(seed)
        while not stop.is_set():
            with contextlib.suppress(psycopg.Error), session(**given) as one:
                while not stop.is_set():
                    with one.transaction():
                        for _ in range(dice.randint(1, 3)):
                            one.execute(dice.choice(WRITES).format(n=dice.randrange(31)))
                    time.sleep(0.002)

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def kill_connections():
    """End every connection but this one and the writers', as a restart of the database would."""
    with connection.cursor() as run:
        run.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def places():
    """Return where the replicas stand."""
    return set(ReplicaState.objects.values_list("cursor", flat=True))


def wait_for_moves(log, count=1):
    """Wait until the replicas have moved on so many times."""
    for _ in range(count):
        before = places()
        processes.until(functools.partial(moved, before), log=log, limit=120)


def moved(before):
    return places() != before


def test_the_replica_ends_equal_after_any_kill(tmp_path, token):
    """The follower with -9 while it copies and while it follows, and all connections of both databases."""
    Customer.objects.bulk_create(Customer(name=str(n)) for n in range(3000))
    log = tmp_path / "follow.log"
    with processes.gunicorn(tmp_path, workers=2) as url, writing():
        for turn in range(4):
            with follower(tmp_path, url, token) as process:
                if turn % 2:
                    wait_for_moves(log)
                    kill_connections()
                    wait_for_moves(log)
                else:
                    time.sleep(0.2 * turn)  # at any moment: there is no event to wait for
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    with processes.gunicorn(tmp_path, workers=2) as url, follower(tmp_path, url, token, "--once") as process:
        assert process.wait(180) == 0, log.read_text()[-2000:]
    assert different() == {}
    assert Order.objects.exists()


def test_followed_by_pushes_and_by_two_that_pull_at_the_same_time(tmp_path, token):
    """Each page moves the replicas once, by push or by pull, while connections break."""
    log = tmp_path / "follow.log"
    environment = {"DJANGO_SETTINGS_MODULE": "tests.replica_settings", "SHOP_TOKEN": token}
    port = processes.free_port()
    url = f"http://127.0.0.1:{port}"
    served = processes.gunicorn(
        tmp_path, workers=2, port=port, application="tests.replica_wsgi", SHOP_URL=f"{url}/pubsubpull/", **environment
    )
    deliver = (sys.executable, "-m", "django", "pubsubpull_deliver")
    with served, processes.running(*deliver, log=tmp_path / "deliver.log", **environment):
        with follower(tmp_path, url, token, "--once") as process:
            assert process.wait(180) == 0, log.read_text()[-2000:]
        with (
            follower(tmp_path, url, token, "--push", f"{url}/receive"),
            follower(tmp_path, url, token),
            follower(tmp_path, url, token),
            writing(),
        ):
            wait_for_moves(log, 10)
            kill_connections()
            wait_for_moves(log, 10)
        processes.until(lambda: different() == {}, log=log)


def test_pushes_alone_keep_a_replica_up(tmp_path, token):
    log = tmp_path / "follow.log"
    environment = {"DJANGO_SETTINGS_MODULE": "tests.replica_settings", "SHOP_TOKEN": token}
    port = processes.free_port()
    url = f"http://127.0.0.1:{port}"
    served = processes.gunicorn(
        tmp_path, workers=2, port=port, application="tests.replica_wsgi", SHOP_URL=f"{url}/pubsubpull/", **environment
    )
    deliver = (sys.executable, "-m", "django", "pubsubpull_deliver")
    with served, processes.running(*deliver, log=tmp_path / "deliver.log", **environment):
        with follower(tmp_path, url, token, "--once", "--push", f"{url}/receive") as process:
            assert process.wait(180) == 0, log.read_text()[-2000:]
        with writing(1):
            wait_for_moves(tmp_path / "deliver.log", 10)
        processes.until(lambda: different() == {}, log=tmp_path / "deliver.log")


def test_it_stops_at_a_signal_while_it_waits(tmp_path, token):
    with processes.gunicorn(tmp_path) as url, follower(tmp_path, url, token) as process:
        processes.until(lambda: places() not in (set(), {""}), log=tmp_path / "follow.log")
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert process.wait(180) == 0
        assert time.monotonic() - began < 15
