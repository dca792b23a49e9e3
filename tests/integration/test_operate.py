"""Health and metrics of a healthy service, and of each fault."""

from __future__ import annotations

import asyncio
import sys

import pytest
from django.db import connection
from prometheus_client.parser import text_string_to_metric_families

from pubsubpull import conf
from pubsubpull.base import threads
from pubsubpull.delivery import meter
from pubsubpull.log import feed, partitions
from pubsubpull.models import Counter, Subscription
from pubsubpull.operate import maintenance, metrics
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import lag, service
from pubsubpull.wire import items
from tests import delivering
from tests.exchanges import HttpRecorder, Response
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)
CHECKS = ("database", "triggers", "partitions", "retention", "delivery", "lag", "labels")


@pytest.fixture(autouse=True)
def _maintained():
    maintenance.run(conf.get())


@pytest.fixture
def call(client):
    """Call the API as a consumer that may do all."""
    consumer, token = consumers.add("ops", ["shop.customer"], may_subscribe=True, may_monitor=True)

    def do(path, *statuses):
        answer = client.get(f"/pubsubpull/{path}", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code in (statuses or (200,)), answer.content
        return answer

    do.consumer = consumer
    return do


@pytest.fixture
def subscribe(call):
    def make(name="main", **given):
        wish = service.SubscriptionSpec(**{"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], **given})
        return service.put(call.consumer, name, wish)[0]

    return make


def execute(text, *values):
    with connection.cursor() as cursor:
        cursor.execute(text, values)


def failing(call):
    """Return the checks that fail, with the reasons."""
    return {name: reason for name, reason in own(call, 503).items() if reason != "ok"}


def own(call, *statuses):
    """Return the checks without those of the suite's replicas, which have no follower here."""
    body = call("health/", *statuses).json()
    well = set(body["checks"].values()) == {"ok"}
    assert body["status"] == ("ok" if well else "failing")
    return {name: reason for name, reason in body["checks"].items() if not name.startswith("replica ")}


def samples(call):
    """Return each sample of the metrics as Prometheus reads them, by its name and labels."""
    answer = call("metrics/")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def test_a_service_that_is_well_says_so_check_by_check(call):
    assert own(call, 200, 503) == dict.fromkeys(CHECKS, "ok")


def test_health_tells_of_a_trigger_that_is_disabled(call):
    execute('ALTER TABLE shop_customer DISABLE TRIGGER "00_pubsubpull_insert"')
    try:
        found = failing(call)
    finally:
        execute('ALTER TABLE shop_customer ENABLE TRIGGER "00_pubsubpull_insert"')
    assert list(found) == ["triggers"]
    assert "pubsubpull_triggers --sync" in found["triggers"]


def test_health_tells_of_a_log_that_cannot_be_read_and_of_nothing_else(call):
    execute("ALTER FUNCTION pubsubpull_present RENAME TO gone")
    try:
        assert set(call("health/", 503).json()["checks"]) == {"database"}
    finally:
        execute("ALTER FUNCTION gone RENAME TO pubsubpull_present")


def test_health_tells_of_delivery_that_cannot_be_read(call):
    execute("ALTER FUNCTION pubsubpull_partitions RENAME TO gone")
    try:
        assert "cannot be read" in failing(call)["database"]
    finally:
        execute("ALTER FUNCTION gone RENAME TO pubsubpull_partitions")


def test_health_tells_of_partitions_that_run_out_and_that_have(call):
    end = partitions.end(partitions.read(feed.present(), "default"))
    execute("SELECT setval('pubsubpull_change_id_seq', %s)", end - 5)
    assert "only 4 versions are ahead" in failing(call)["partitions"]
    Customer.objects.bulk_create(Customer(name=str(n)) for n in range(6))
    assert "default partition" in failing(call)["partitions"]
    maintenance.run(conf.get())
    assert own(call, 200, 503)["partitions"] == "ok"


def test_health_tells_of_subscriptions_without_a_worker(call, subscribe):
    subscribe()
    assert "pubsubpull_deliver" in failing(call)["delivery"]
    delivering.run(lambda *_: delivering.until(lambda: own(call, 200, 503)["delivery"] == "ok"))


def test_health_reports_a_lagging_active_subscription_but_not_a_failing_one(call, subscribe):
    made = subscribe()
    Customer.objects.create(name="a")
    execute("UPDATE pubsubpull_change SET at = at - interval '1 hour'")
    assert "3600 seconds behind" in failing(call)["lag"]
    Subscription.objects.filter(pk=made.pk).update(state="failing")
    assert "lag" not in failing(call)
    Subscription.objects.filter(pk=made.pk).update(state="active", cursor="none")
    assert "lag" not in failing(call)


def test_without_a_token_there_is_no_health_unless_the_settings_let_it_and_then_only_a_word(client, settings):
    assert client.get("/pubsubpull/health/").status_code == 401
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "HEALTH": "public"}
    answer = client.get("/pubsubpull/health/")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    wrong = client.get("/pubsubpull/health/", headers={"Authorization": "Bearer wrong"})
    assert wrong.status_code == 401
    execute("ALTER FUNCTION pubsubpull_present RENAME TO gone")
    try:
        answer = client.get("/pubsubpull/health/")
    finally:
        execute("ALTER FUNCTION gone RENAME TO pubsubpull_present")
    assert (answer.status_code, answer.json()) == (503, {"status": "failing"})


def test_metrics_need_the_monitoring_permission(client):
    assert client.get("/pubsubpull/metrics/").status_code == 401
    _, token = consumers.add("reader", ["shop.customer"])
    answer = client.get("/pubsubpull/metrics/", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:pubsubpull:problem:forbidden")


def test_metrics_tell_of_the_log_and_of_each_subscription(call, subscribe):
    subscribe("lagging", paused=True)
    Customer.objects.bulk_create(Customer(name=str(n)) for n in range(3))
    execute("UPDATE pubsubpull_change SET at = at - interval '1 hour'")
    broken = subscribe("broken")
    Subscription.objects.filter(pk=broken.pk).update(cursor="none", attempts=2)
    found = samples(call)
    assert found["pubsubpull_captured_total",] == feed.present().seq
    assert found["pubsubpull_lag_changes", "lagging", "ops"] == 3
    assert 3600 <= found["pubsubpull_lag_seconds", "lagging", "ops"] < 3700
    assert found["pubsubpull_subscription_state", "lagging", "ops", "paused"] == 1
    assert found["pubsubpull_lag_changes", "broken", "ops"] == 0
    assert found["pubsubpull_failed_attempts", "broken", "ops"] == 2
    assert found["pubsubpull_log_partitions",] >= 3
    assert found["pubsubpull_log_bytes",] > 0
    assert found["pubsubpull_log_overflowed",] == 0
    assert found["pubsubpull_log_versions_ahead",] > 1_000_000
    assert found["pubsubpull_workers",] == 0


def test_the_workers_counters_are_in_the_metrics_and_only_grow(call, subscribe):
    subscribe()
    answers = iter([Response(status=500, headers={}, body_start=b""), Response(status=204, headers={}, body_start=b"")])
    transport = HttpRecorder(lambda *_: next(answers))
    Customer.objects.create(name="a")
    delivering.run(
        lambda *_: delivering.until(lambda: Subscription.objects.filter(delivered__gt=0).exists()), transport
    )
    found = samples(call)
    assert found["pubsubpull_exchanges_total", "retry"] == 1
    assert found["pubsubpull_exchanges_total", "delivered"] == 1
    assert found["pubsubpull_delivered_total", "main", "ops"] == 1
    assert found["pubsubpull_delivery_seconds_bucket", "+Inf"] == 1
    assert found["pubsubpull_exchange_seconds_count",] == 2
    assert found["pubsubpull_exchange_seconds_sum",] > 0
    meter.add({(meter.OUTCOMES, "delivered"): 2}, using="default")
    assert samples(call)["pubsubpull_exchanges_total", "delivered"] == 3


def test_counts_that_could_not_be_written_are_written_later():
    async def count():
        database = threads.Database("default", "test")
        one = meter.Meter(using="default", writes=database)
        one.exchanged("retry", 0.3)
        execute_in = threads.Database("default", "other")
        await execute_in(execute, "ALTER TABLE pubsubpull_counter RENAME TO gone")
        try:
            with pytest.raises(Exception, match="does not exist"):
                await one.flush()
        finally:
            await execute_in(execute, "ALTER TABLE gone RENAME TO pubsubpull_counter")
        await one.flush()
        await one.flush()
        await database.close()
        await execute_in.close()

    asyncio.run(count())
    assert set(Counter.objects.values_list("name", "label", "value")) == {
        ("outcomes", "retry", 1.0),
        ("exchange", "0.5", 1.0),
        ("exchange", "sum", 0.3),
    }


def test_an_items_time_is_its_own_and_not_one_in_its_key():
    item = '{"key":"\\"at\\":\\"2000-01-01T00:00:00Z\\"","op":"insert","at":"1970-01-01T00:00:10.5Z","new":{"at":"no"}}'
    assert items.written_at(item) == 10.5
    assert items.written_at('{"key":"1"}') is None


def test_a_histogram_is_cumulated_as_prometheus_wants_it():
    values = {("a", "0.005"): 2.0, ("a", "0.025"): 1.0, ("a", "+Inf"): 1.0, ("b", "0.01"): 9.0}
    found = dict(metrics.cumulated("a", values))
    assert [found["0.005"], found["0.01"], found["0.025"], found["3600.0"], found["+Inf"]] == [2, 2, 3, 3, 4]
    assert [meter.bucket(seconds) for seconds in (0, 0.005, 0.006, 3600, 4000)] == [
        "0.005",
        "0.005",
        "0.01",
        "3600.0",
        "+Inf",
    ]


def test_metrics_without_their_package_name_the_package(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    answer = call("metrics/", 501)
    assert answer.json()["type"] == "urn:pubsubpull:problem:not-installed"
    assert "pip install 'pubsubpull[metrics]'" in answer.json()["detail"]


def test_the_lag_is_that_of_the_first_change_after_however_far_its_id_is():
    Customer.objects.create(name="a")
    before = feed.present().seq
    execute("SELECT setval('pubsubpull_change_id_seq', %s)", before + 50_000)
    Customer.objects.create(name="b")
    execute("UPDATE pubsubpull_change SET at = at - interval '1 hour' WHERE id = %s", before + 50_001)
    found = lag.waits({before - 1, before, before + 49_999, before + 50_001}, feed.present(), "default")
    assert {seen - before: round(waited / 60) for seen, waited in found.items()} == {-1: 0, 0: 60, 49_999: 60}
