"""Delivery by real worker processes to a real receiver; signals and crashes included."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from django.db import connection

from pubsubpull.log import feed
from pubsubpull.log.cursor import Cursor
from pubsubpull.models import Subscription, Worker
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests.receivers import Receiver, serving
from tests.shop.models import Customer, Place

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]
TIMES = {
    "LEASE": 10,
    "POLL_INTERVAL": 0.01,
    "IDLE_INTERVAL": 0.05,
    "BACKOFF_FIRST": 0.05,
    "BACKOFF_LIMIT": 0.2,
    "CONNECT_TIMEOUT": 2,
    "READ_TIMEOUT": 5,
    "DRAIN": 20,
}
DIES = {"LEASE": 1.5}
"""Of a worker that a test kills or stops: the next one takes over soon."""


class Workers:
    """Starts worker processes on the test database, and ends the remaining ones."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = []

    def start(self, *arguments, **settings):
        log = self.folder / f"worker-{len(self.processes)}.log"
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.delivery_settings",
            "PUBSUBPULL_DATABASE": connection.settings_dict["NAME"],
            "PUBSUBPULL_SETTINGS": json.dumps({**TIMES, **settings}),
        }
        command = [sys.executable, "manage.py", "pubsubpull_deliver", *arguments]
        with log.open("w") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        process.log = log.read_text
        self.processes.append(process)
        return process

    def stop(self):
        """End all processes; kill those still running after their time."""
        left = [process for process in self.processes if process.poll() is None]
        for process in left:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in left:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(3)
            process.kill()
            process.wait()


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
def consumer():
    return consumers.add("billing", ["shop.customer"], may_subscribe=True)[0]


@pytest.fixture
def subscribe(consumer, receiver):
    def make(name="main", **given):
        wish = service.SubscriptionSpec(**{"callback": receiver.url, "models": ["shop.customer"], **given})
        made, _ = service.put(consumer, name, wish)
        receiver.secret = service.secret_of(made)
        return made

    return make


def add(*names):
    for name in names:
        Customer.objects.create(name=name)


def until(condition, limit=60):
    end = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come to be in time"
        time.sleep(0.02)
    return found


def now(subscription):
    return Subscription.objects.get(pk=subscription.pk)


def caught_up(subscription):
    """Say whether nothing that the subscription wants is left after its recorded cursor."""
    cursor = Cursor.decode(now(subscription).cursor)
    return not feed.rows(cursor, limit=10, models=["shop.customer"]).rows


def in_chain(pages):
    return all(one["cursor"] == two["previous"] for one, two in itertools.pairwise(pages))


def test_changes_come_in_order_each_page_after_the_one_before(workers, receiver, subscribe):
    names = [str(n) for n in range(40)]
    subscription = subscribe(batch=7)
    add(*names[:20])
    workers.start()
    receiver.wait_names(names[:20])
    Place.objects.create(name="a change that is not wanted moves the cursor, and is no gap")
    add(*names[20:])
    receiver.wait_names(names)
    pages = receiver.came
    assert in_chain(pages)
    assert pages[0]["previous"] == subscription.cursor
    assert all(len(page["items"]) <= 7 and page["subscription"] == "main" for page in pages)
    until(lambda: now(subscription).delivered == 40)
    assert now(subscription).cursor == pages[-1]["cursor"]


def test_a_page_that_was_not_recorded_before_a_crash_comes_again_with_the_same_id(workers, receiver, subscribe):
    subscription = subscribe()
    taken, go_on = threading.Event(), threading.Event()

    def hold(_):
        taken.set()
        go_on.wait(60)
        return 204, {}, b""

    receiver.answer = hold
    add("a", "b")
    # It has taken the page, but its answer does not reach the worker before that is killed.
    first = workers.start(READ_TIMEOUT=60, **DIES)
    assert taken.wait(60)
    first.kill()
    first.wait()
    go_on.set()
    receiver.answer = lambda _: (204, {}, b"")
    workers.start()
    pages = receiver.wait(lambda came: len(came) >= 2)
    assert pages[0]["id"] == pages[1]["id"]
    assert pages[0]["items"] == pages[1]["items"]
    add("c")
    receiver.wait_names(["a", "b", "a", "b", "c"])
    until(lambda: caught_up(subscription))


def test_a_page_that_has_grown_since_a_crash_has_another_id(workers, receiver, subscribe):
    subscribe()
    taken, go_on = threading.Event(), threading.Event()
    receiver.answer = lambda _: (taken.set(), go_on.wait(60), (204, {}, b""))[-1]
    add("a")
    first = workers.start(READ_TIMEOUT=60, **DIES)
    assert taken.wait(60)
    first.kill()
    first.wait()
    go_on.set()
    add("b")
    workers.start()
    receiver.wait_names(["a", "a", "b"])
    assert receiver.came[0]["id"] != receiver.came[1]["id"]


def test_two_workers_share_the_subscriptions_and_each_has_one_sender(workers, receiver, subscribe):
    made = [subscribe(f"s{n}", secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") for n in range(4)]
    workers.start("--name", "one")
    workers.start("--name", "two")
    until(lambda: set(Worker.objects.values_list("name", flat=True)) == {"one", "two"})

    def shares():
        holders = [now(one).worker for one in made]
        return sorted(holders.count(worker.id) for worker in Worker.objects.all()) == [2, 2]

    until(shares)
    add(*"abcdef")
    receiver.wait(lambda came: sum(len(page["items"]) for page in came) >= 24)
    for one in made:
        mine = [page for page in receiver.came if page["subscription"] == one.name]
        assert [item["new"]["name"] for page in mine for item in page["items"]] == list("abcdef")
        assert in_chain(mine)


def test_a_worker_that_comes_back_after_its_lease_sends_nothing_more(workers, receiver, subscribe):
    subscription = subscribe()
    first = workers.start("--name", "one", **DIES)
    add("a")
    receiver.wait_names(["a"])
    until(lambda: caught_up(subscription))
    first.send_signal(signal.SIGSTOP)
    workers.start("--name", "two")
    add("b")
    receiver.wait_names(["a", "b"])
    first.send_signal(signal.SIGCONT)
    add("c", "d")
    receiver.wait_names(["a", "b", "c", "d"])
    until(lambda: Worker.objects.filter(name="one").exists())
    add("e")
    receiver.wait_names(["a", "b", "c", "d", "e"])


def test_a_receiver_that_is_down_gets_all_once_it_is_back(workers, subscribe, consumer):
    with serving(Receiver()) as gone:
        port = gone.port
    subscription = subscribe(callback=f"http://127.0.0.1:{port}/")
    secret = service.secret_of(subscription)
    worker = workers.start()
    add("a", "b")
    until(lambda: now(subscription).attempts >= 2)
    failing = now(subscription)
    assert failing.state == "failing"
    assert failing.next_attempt
    assert failing.failing_since
    assert "no connection" in failing.last_error
    back = Receiver()
    back.secret = secret
    with serving(back, port):
        back.wait_names(["a", "b"])
        until(lambda: now(subscription).state == "active")
        assert (now(subscription).attempts, now(subscription).last_error) == (0, "")
    assert "is failing" in worker.log()
    assert "has recovered" in worker.log()
    assert secret not in worker.log()


def test_a_slow_receiver_is_a_failure_and_gets_the_same_page_again(workers, receiver, subscribe):
    subscription = subscribe()
    slow, done = [True], threading.Event()
    receiver.answer = lambda _: (done.wait(60) if slow[0] else None, (204, {}, b""))[-1]
    workers.start(READ_TIMEOUT=0.5)
    add("a")
    until(lambda: now(subscription).attempts >= 1)
    assert "no answer in time" in now(subscription).last_error
    slow[0] = False
    done.set()
    pages = receiver.wait(lambda came: len(came) >= 2)
    assert len({page["id"] for page in pages}) == 1
    until(lambda: now(subscription).state == "active")


def test_a_500_is_tried_again_until_it_is_taken_and_order_holds(workers, receiver, subscribe):
    subscription = subscribe(batch=1)
    tries = []
    receiver.answer = lambda page: (tries.append(page), (500, {}, b"broken") if len(tries) < 4 else (204, {}, b""))[-1]
    workers.start()
    add("a", "b")
    receiver.wait_names(["a", "a", "a", "a", "b"])
    assert len({page["id"] for page in receiver.came[:4]}) == 1
    until(lambda: now(subscription).delivered == 2)


def test_a_receiver_that_fails_for_too_long_is_disabled_and_loses_nothing(workers, receiver, subscribe):
    subscription = subscribe()
    receiver.answer = lambda _: (500, {}, b"")
    worker = workers.start(DISABLE_AFTER=0.3)
    add("a")
    until(lambda: now(subscription).state == "disabled")
    assert now(subscription).cursor == subscription.cursor
    assert now(subscription).worker is None
    assert "PUT it again" in now(subscription).last_error
    assert "is disabled" in worker.log()
    receiver.answer = lambda _: (204, {}, b"")
    subscribe()
    until(lambda: now(subscription).delivered == 1)


def test_409_with_a_cursor_goes_on_from_there(workers, receiver, subscribe):
    add("missed")
    start = feed.present().cursor().encode()
    add("a", "b")
    subscription = subscribe()
    answers = [(409, {}, json.dumps({"cursor": start}).encode())]
    receiver.answer = lambda _: answers.pop() if answers else (204, {}, b"")
    workers.start()
    add("c")
    receiver.wait_names(["c", "a", "b", "c"])
    assert receiver.came[1]["previous"] == start
    until(lambda: caught_up(subscription))
    assert now(subscription).state == "active"


def test_a_receiver_that_always_answers_409_is_failing_not_flooded(workers, receiver, subscribe):
    subscription = subscribe()
    receiver.answer = lambda page: (409, {}, json.dumps({"cursor": page["previous"]}).encode())
    workers.start(BACKOFF_FIRST=30, BACKOFF_LIMIT=30)
    add("a")
    until(lambda: now(subscription).state == "failing")
    assert "409" in now(subscription).last_error
    assert len(receiver.came) == 2


def test_409_with_a_cursor_of_another_history_is_a_failure_that_says_so(workers, receiver, subscribe):
    cursor = feed.present().cursor()
    foreign = feed.dataclasses.replace(cursor, history=cursor.history + 1).encode()
    subscription = subscribe()
    receiver.answer = lambda _: (409, {}, json.dumps({"cursor": foreign}).encode())
    workers.start()
    add("a")
    until(lambda: now(subscription).state == "failing")
    assert "another history" in now(subscription).last_error


def test_410_ends_the_subscription(workers, receiver, subscribe):
    subscription = subscribe()
    receiver.answer = lambda _: (410, {}, b"")
    workers.start()
    add("a")
    until(lambda: now(subscription).state == "unsubscribed")
    assert "410" in now(subscription).last_error
    assert len(receiver.came) == 1


def test_429_with_retry_after_holds(workers, receiver, subscribe):
    subscription = subscribe()
    answers = [(429, {"Retry-After": "1"}, b"")]
    receiver.answer = lambda _: answers.pop() if answers else (204, {}, b"")
    workers.start()
    add("a")
    pages = receiver.wait(lambda came: len(came) == 2)
    assert pages[1]["time"] - pages[0]["time"] >= 0.95
    until(lambda: now(subscription).delivered == 1)


def test_sigterm_finishes_running_sends_records_them_and_releases_leases(workers, receiver, subscribe):
    subscription = subscribe(batch=1)
    taken, go_on = threading.Event(), threading.Event()
    receiver.answer = lambda _: (taken.set(), go_on.wait(60), (204, {}, b""))[-1]
    add("a", "b")
    worker = workers.start(READ_TIMEOUT=60)
    assert taken.wait(60)
    worker.terminate()
    until(lambda: "finishes" in worker.log())
    go_on.set()
    assert worker.wait(30) == 0
    assert now(subscription).delivered == 1
    assert now(subscription).worker is None
    assert now(subscription).cursor == receiver.came[0]["cursor"]
    assert not Worker.objects.exists()
    assert receiver.names() == ["a"]


def test_a_hanging_receiver_does_not_hold_up_the_end_beyond_the_limit(workers, receiver, subscribe):
    subscription = subscribe()
    taken, go_on = threading.Event(), threading.Event()
    receiver.answer = lambda _: (taken.set(), go_on.wait(60), (204, {}, b""))[-1]
    add("a")
    worker = workers.start(READ_TIMEOUT=60, DRAIN=0.3)
    assert taken.wait(60)
    worker.send_signal(signal.SIGINT)
    assert worker.wait(30) == 0
    go_on.set()
    assert now(subscription).worker is None
    assert now(subscription).cursor == subscription.cursor


def test_changes_waiting_when_a_worker_stops_are_not_skipped(workers, receiver, subscribe):
    subscription = subscribe(batch=1, max_rate=0.02)
    add("a", "b")
    first = workers.start()
    receiver.wait_names(["a"])
    until(lambda: now(subscription).delivered == 1)
    first.terminate()
    assert first.wait(30) == 0
    assert now(subscription).cursor == receiver.came[0]["cursor"]
    subscribe(batch=1)
    workers.start()
    receiver.wait_names(["a", "b"])


def test_a_worker_outlives_its_database_connections(workers, receiver, subscribe):
    subscribe()
    worker = workers.start()
    add("a")
    receiver.wait_names(["a"])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    add("b")
    receiver.wait_names(["a", "b"])
    assert "the database is away" in worker.log()


def test_a_subscription_that_is_put_again_takes_effect_at_once(workers, receiver, subscribe, consumer):
    subscription = subscribe()
    workers.start(LEASE=60)
    add("a")
    receiver.wait_names(["a"])
    until(lambda: caught_up(subscription))
    subscribe(ops=["delete"])
    until(lambda: now(subscription).worker)
    add("b")
    Customer.objects.get(name="a").delete()
    receiver.wait_names(["a", "a"])
    assert receiver.came[-1]["items"][0]["op"] == "delete"
    service.delete(consumer, "main")
    until(lambda: not Subscription.objects.exists())


def test_once_delivers_all_pending_changes_and_ends(workers, receiver, subscribe):
    subscription = subscribe(batch=2)
    add("a", "b", "c")
    worker = workers.start("--once")
    assert worker.wait(60) == 0
    assert receiver.names() == ["a", "b", "c"]
    assert now(subscription).delivered == 3
    assert now(subscription).worker is None
    assert "3 changes delivered" in worker.log()
    receiver.answer = lambda _: (503, {"Retry-After": "60"}, b"")
    add("d")
    worker = workers.start("--once")
    assert worker.wait(60) == 0
    assert now(subscription).attempts == 1
