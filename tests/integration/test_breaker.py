"""The breaker on PostgreSQL: shared state of hosts that do not answer, and the right to probe them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
import time

import pytest
from django.db import connections
from django.db.models.functions import Now
from django.db.utils import OperationalError

from pubsubpull.delivery import breaker, hosts
from pubsubpull.models import Host, Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from pubsubpull.transports.base import Delivered, Retry
from pubsubpull.transports.recording import RecordingTransport
from tests.delivering import SETTINGS, run, until
from tests.sessions import session
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)
GIVEN_UP = dataclasses.replace(SETTINGS, BREAKER_FAILURES=3, BREAKER_LIMIT=60, BACKOFF_FIRST=60, BACKOFF_LIMIT=60)
NAME = "http:sick.example"


@pytest.fixture
def subscribe():
    consumer, _ = consumers.add("billing", ["shop.customer"], may_subscribe=True)

    def make(name, host="sick.example"):
        wish = service.SubscriptionSpec(callback=f"http://{host}/{name}", models=["shop.customer"])
        return service.put(consumer, name, wish)[0]

    return make


def fail(times, store=None, pause=60.0, **given):
    store = store or hosts.Store("default")
    named = {"took": 0.0, "error": "no", "limit": 3, "probe": False, "pause": lambda _: pause, **given}
    return [store.failed(NAME, **named) for _ in range(times)]


def sick():
    return hosts.Store("default").failing().get(NAME)


def test_failures_are_counted_until_the_host_is_given_up_and_then_only_a_probes():
    assert fail(5) == [1, 2, 3, None, None]
    assert 55 < sick().wait < 61
    assert fail(2, probe=True, pause=30.0) == [4, 5]
    assert 25 < sick().wait < 31
    hosts.Store("default").close(NAME)
    assert sick() is None
    assert fail(1) == [1]


def waits_for_a_lock():
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
        return cursor.fetchone()


def test_only_one_worker_gets_the_probe_if_two_ask_in_the_same_moment():
    fail(3, pause=-1.0)
    got = []
    with session() as other:
        other.execute("BEGIN")
        other.execute("UPDATE pubsubpull_host SET retry_at = clock_timestamp() + interval '1 min'")

        def ask():
            with contextlib.closing(connections["default"]):
                got.append(hosts.Store("default").probe(NAME, 60))

        asking = threading.Thread(target=ask)
        asking.start()
        until(waits_for_a_lock)
        other.execute("COMMIT")
        asking.join()
    assert got == [False]


def test_an_unfinished_probe_is_given_again_after_its_time():
    fail(3, pause=-1.0)
    store = hosts.Store("default")
    assert store.probe(NAME, 60)
    assert not store.probe(NAME, 60)
    Host.objects.update(retry_at="2000-01-01T00:00Z")
    assert store.probe(NAME, 60)
    store.close(NAME)
    assert not store.probe(NAME, 60)


def test_a_host_untried_for_a_day_is_forgotten():
    fail(3)
    Host.objects.update(began="2000-01-01T00:00Z")
    assert sick() is None
    assert sick() is None
    assert not Host.objects.exists()


async def direct(function, *arguments, **named):
    return await asyncio.to_thread(_closing, function, arguments, named)


def _closing(function, arguments, named):
    try:
        return function(*arguments, **named)
    finally:
        connections["default"].close()


def make(settings=GIVEN_UP, writes=direct):
    return breaker.Breaker(settings=settings, writes=writes)


def failing(one, times=1, began=None):
    async def main():
        for _ in range(times):
            await one.failed(NAME, began=time.monotonic() if began is None else began, error="no")

    return main()


async def pause_is_over(one):
    """Let the time pass at which the host may be tried again, without waiting for it."""
    assert await one.wait(NAME, failing=False) > 1
    await direct(Host.objects.update, retry_at=Now())
    await one.poll()


def test_all_workers_know_a_sick_host_that_one_finds():
    async def main():
        one, other = make(), make()
        await failing(one, 2)
        assert await one.wait(NAME, failing=True) == 0
        await failing(other)
        assert await other.wait(NAME, failing=False) > 1
        await one.poll()
        assert await one.wait(NAME, failing=False) > 1
        assert await one.wait("well.example:80", failing=False) == 0
        news = one.changed(NAME)
        await other.answered(NAME)
        assert await other.wait(NAME, failing=False) == 0
        await one.poll()
        assert news.is_set()
        assert await one.wait(NAME, failing=False) == 0

    asyncio.run(main())


def test_a_failure_while_the_host_answered_another_is_not_the_hosts():
    async def main():
        one = make()
        began = time.monotonic()
        await one.answered(NAME)
        await failing(one, 5, began=began)
        assert not await direct(Host.objects.exists)

    asyncio.run(main())


def test_an_answer_since_the_last_failure_began_closes_the_breaker():
    async def main():
        one, other = make(), make()
        began = time.monotonic() - 1
        await other.answered(NAME)
        await failing(one, 3, began=began)
        assert await one.wait(NAME, failing=False) > 0
        await other.poll()
        assert await other.wait(NAME, failing=False) == 0
        assert not await direct(Host.objects.exists)

    asyncio.run(main())


def test_after_the_pause_one_worker_probes_and_its_failure_lengthens_the_next():
    async def main():
        one, other = make(), make()
        await failing(one, 3)
        await pause_is_over(one)
        await other.poll()
        asked = await asyncio.gather(*(each.wait(NAME, failing=False) for each in (one, one, other, other)))
        assert sorted(wait == 0 for wait in asked) == [False, False, False, True]
        prober = one if 0 in asked[:2] else other
        await failing(prober)
        assert prober.open_circuit(NAME).failures == 4
        assert await prober.wait(NAME, failing=False) > 0

    asyncio.run(main())


def test_a_send_begun_before_the_breaker_opened_does_not_count_as_the_probe():
    async def main():
        one = make()
        began = time.monotonic()
        await failing(one, 3)
        await pause_is_over(one)
        assert await one.wait(NAME, failing=False) == 0
        await failing(one, began=began)
        assert one.open_circuit(NAME).failures == 3
        await failing(one)
        assert one.open_circuit(NAME).failures == 4

    asyncio.run(main())


def test_a_failing_subscription_leaves_the_probe_to_a_healthy_one():
    async def main():
        one = make()
        await failing(one, 3)
        await pause_is_over(one)
        assert await one.wait(NAME, failing=True) > 0
        assert await one.wait(NAME, failing=False) == 0

    asyncio.run(main())


def test_a_probe_that_is_given_back_is_had_by_another_at_once():
    async def main():
        one, other = make(), make()
        await failing(one, 3)
        await pause_is_over(one)
        assert await one.wait(NAME, failing=False) == 0
        await one.give_back(NAME)
        await one.give_back(NAME)
        await other.poll()
        assert await other.wait(NAME, failing=False) == 0

    asyncio.run(main())


def test_while_the_database_is_away_nothing_breaks_and_a_host_that_is_given_up_is_not_tried():
    away = False

    async def writes(function, *arguments, **named):
        if away:
            raise OperationalError("away")
        return await direct(function, *arguments, **named)

    async def main():
        nonlocal away
        one = make(writes=writes)
        await failing(one, 3)
        await pause_is_over(one)
        assert await one.wait(NAME, failing=False) == 0
        away = True
        await failing(one)
        await one.give_back(NAME)
        assert await one.wait(NAME, failing=False) > 0
        await one.answered(NAME)
        away = False
        await one.poll()
        assert one.open_circuit(NAME) is None
        assert not await direct(Host.objects.exists)

    asyncio.run(main())


def test_a_sick_host_gets_one_probe_and_then_all_subscriptions_catch_up(subscribe, caplog):
    caplog.set_level("INFO")
    for n in range(10):
        subscribe(f"s{n}")
    subscribe("well", host="well.example")
    known, down, probes, inside, most = [], [True], [0], [0], [0]

    async def answer(sent):
        if "sick.example" not in sent.target.address or not down[0]:
            return Delivered()
        probe = known[0].open_circuit(NAME) is not None
        probes[0] += probe
        inside[0] += probe
        most[0] = max(most[0], inside[0])
        await asyncio.sleep(0.01)
        inside[0] -= probe
        return Retry(error="It could not be reached.", away=True)

    def work(one, _):
        known.append(one.breaker)
        until(lambda: Subscription.objects.filter(worker=None).count() == 0)
        Customer.objects.create(name="a")
        until(lambda: Host.objects.filter(failures__gte=5).exists())
        made = probes[0]
        assert most[0] == 1, "of ten subscriptions one alone tries at a time"
        assert 2 <= made <= Host.objects.get().failures - 3 + 1, "each of them counts, but the one that is on its way"
        waiting = until(
            lambda: (
                Subscription.objects.filter(name__startswith="s", state="failing").count() == 10
                and Subscription.objects.filter(last_error__contains="one probe at a time").first()
            )
        )
        assert waiting.next_attempt
        assert Subscription.objects.get(name="well").delivered == 1
        down[0] = False
        until(lambda: Subscription.objects.filter(state="active", delivered=1).count() == 11)

    run(work, RecordingTransport(answer), BREAKER_FAILURES=3, BREAKER_LIMIT=0.1, BACKOFF_FIRST=0.05, BACKOFF_LIMIT=60)
    assert not Host.objects.exists()
    assert [r.message for r in caplog.records if "does not answer (" in r.message]
    assert [r.message for r in caplog.records if "answers again" in r.message]


def test_a_probe_with_which_nothing_was_sent_is_left_to_another(subscribe):
    """Otherwise no worker could try the host until the probe's time is over, which is 40 seconds here."""
    subscribe("unsent")
    subscribe("good")
    Customer.objects.create(name="a")
    fail(3, pause=-1.0)

    def answer(sent):
        return Delivered() if sent.target.address.endswith("good") else Retry(error="Its key is away.", unsent=True)

    def work(*_):
        until(lambda: Subscription.objects.get(name="good").delivered == 1, limit=30)

    run(work, RecordingTransport(answer), BREAKER_FAILURES=3)
    assert not Host.objects.exists()
    assert Subscription.objects.get(name="unsent").last_error == "Its key is away."


def test_a_subscription_waiting_too_long_for_its_host_is_disabled_too(subscribe):
    made = subscribe("s")
    Subscription.objects.update(state="failing", failing_since="2000-01-01T00:00Z")
    fail(3)

    def work(one, transport):
        until(lambda: one.breaker.open_circuit(NAME))
        Customer.objects.create(name="a")
        until(lambda: Subscription.objects.get(pk=made.pk).state == "disabled")
        assert not transport.sent

    run(work, BREAKER_FAILURES=3)
    assert "one probe at a time" in Subscription.objects.get(pk=made.pk).last_error
