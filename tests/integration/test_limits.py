"""Limits: how fast a subscription is sent changes, how large pages and bodies are, how often a consumer may call."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
import uuid

import pytest
from django.core.cache import cache

from pubsubpull.delivery import notification, rate_limit, store
from pubsubpull.log import feed, sizes
from pubsubpull.log.cursor import Cursor
from pubsubpull.models import Subscription
from pubsubpull.pull import consumers, limits, problems
from pubsubpull.subscriptions import service
from pubsubpull.transports.base import Delivered
from pubsubpull.transports.recording import RecordingTransport
from pubsubpull.wire.items import Row
from tests import delivering
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)
LARGE = 40_000


@pytest.fixture
def token():
    return consumers.add("billing", ["shop.customer"], may_subscribe=True)[1]


@pytest.fixture
def subscribe(token):
    def make(name="main", **given):
        consumer = consumers.authenticate(token)
        wish = service.SubscriptionSpec(**{"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], **given})
        return service.put(consumer, name, wish)[0]

    return make


@pytest.fixture
def call(client, token):
    def do(method, path, body=None, **headers):
        data = {} if body is None else {"data": body, "content_type": "application/json"}
        return getattr(client, method)(
            f"/pubsubpull/{path}", headers={"Authorization": f"Bearer {token}", **headers}, **data
        )

    return do


def incompressible(length):
    return "".join(uuid.uuid4().hex for _ in range(length // 32 + 1))[:length]


def versions(page):
    return [item["version"] for item in json.loads(f"[{page.items.decode()}]")]


def drain(read, cursor, size):
    """Read pages until there is no more; return them."""
    found = []
    for _ in range(200):
        page = read(cursor, limit=100, size=size)
        found.append(page)
        cursor = Cursor.decode(page.cursor.encode())
        if not page.more:
            return found
    raise AssertionError("the feed does not end")


@pytest.mark.parametrize("text", [incompressible(LARGE), "x" * LARGE], ids=["as it is", "compressed"])
def test_a_page_is_cut_by_bytes_and_nothing_is_lost(text):
    cursor = feed.present().cursor()
    Customer.objects.create(name="large", email=text)
    if not sizes.may_be_large("default"):
        Customer.objects.create(name="larger", email=incompressible(LARGE))
    for n in range(10):
        Customer.objects.create(name=str(n), email=text)
    last = feed.present().seq
    sizes._none_large.clear()
    pages = drain(feed.page, cursor, 3 * LARGE)
    assert all(len(page.items) <= 5 * LARGE for page in pages)
    assert len([page for page in pages if page.count]) >= 4
    assert [version for page in pages for version in versions(page)] == list(range(cursor.seq + 1, last + 1))
    rows = drain(feed.rows, cursor, 3 * LARGE)
    assert [row.version for read in rows for row in read.rows] == list(range(cursor.seq + 1, last + 1))
    assert max(len(read.rows) for read in rows) <= 4


def test_a_change_larger_than_the_bound_goes_alone():
    cursor = feed.present().cursor()
    Customer.objects.create(name="small")
    Customer.objects.create(name="large", email=incompressible(LARGE))
    Customer.objects.create(name="small again")
    sizes._none_large.clear()
    pages = [page for page in drain(feed.page, cursor, 500) if page.count]
    assert [page.count for page in pages] == [2, 1]
    pages = [page for page in drain(feed.page, cursor, 1) if page.count]
    assert [page.count for page in pages] == [1, 1, 1]


def test_a_log_of_small_changes_is_not_measured_and_one_with_large_ones_is():
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE pubsubpull_change")
    sizes._none_large.clear()
    assert not sizes.may_be_large("default", clock=100.0)
    Customer.objects.create(name="large", email=incompressible(LARGE))
    assert not sizes.may_be_large("default", clock=100.5), "it was looked at just now"
    assert sizes.may_be_large("default", clock=101.0)
    assert sizes.may_be_large("default", clock=101.0), "that it has some is not forgotten"


def test_a_subscription_reads_no_further_than_so_many_characters(subscribe):
    made = subscribe()
    live = store.Store(using="default", worker=uuid.uuid4())
    live.renew(name="w", lease=60)
    ((lease,), _) = live.claim(1)
    assert lease.terms.id == made.pk
    rows = [Row(version=n, model="m", op="I", item="x" * 5_000_000) for n in (1, 2)]
    cursor = feed.present().cursor()
    lease.pending.add(feed.Rows(rows=tuple(rows), cursor=cursor, more=False), rows)
    assert lease.pending.size == 10_000_000
    assert not lease.pending.has_room
    style = notification.Style(subscription="s", name="n", form=Subscription.Format.PAGE)
    lease.pending.cut(batch=100, style=style, previous="p")
    assert (lease.pending.count, lease.pending.size) == (1, 5_000_000)
    lease.pending.clear()
    assert lease.pending.size == 0
    assert lease.pending.has_room


def test_a_subscription_is_sent_no_more_than_its_rate_smoothly(subscribe):
    made = subscribe(max_rate=20, batch=100)
    Customer.objects.bulk_create(Customer(name=str(n)) for n in range(50))
    transport = RecordingTransport()
    done = threading.Event()
    began = time.monotonic()

    def work(*_):
        delivering.until(lambda: Subscription.objects.get(pk=made.pk).delivered == 50, 20)
        done.set()

    delivering.run(work, transport)
    assert done.is_set()
    sent = [len(json.loads(request.message.body)["items"]) for request in transport.sent]
    assert sum(sent) == 50
    assert max(sent) <= 20, "no more than a second's worth at once"
    assert time.monotonic() - began >= 2.0, "40 changes at 20 a second go before the last 10 may"


def test_the_rate_survives_from_one_worker_to_the_next(subscribe):
    made = subscribe(max_rate=1, batch=100)
    Customer.objects.bulk_create(Customer(name=str(n)) for n in range(3))
    times = []

    def work(_worker, transport):
        before = len(transport.sent)
        delivering.until(lambda: len(transport.sent) > before)

    transport = RecordingTransport(lambda _: (times.append(time.monotonic()), Delivered())[-1])
    for _ in range(2):
        transport.closed = False
        delivering.run(work, transport)
    assert times[1] - times[0] >= 0.5, "the second worker waits for the time that the first one's notification took up"
    assert Subscription.objects.get(pk=made.pk).free_at is not None


@pytest.mark.parametrize("rate", [0, -1, 0.001, 1e9, float("nan")])
def test_a_rate_out_of_range_is_refused_by_name(subscribe, rate):
    with pytest.raises(Exception, match="max_rate: must be from"):
        subscribe(max_rate=rate)


def test_the_rate_is_taken_and_shown_by_the_api(call):
    wish = {"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], "max_rate": 2.5}
    assert call("put", "subscriptions/main/", json.dumps(wish)).json()["max_rate"] == 2.5
    assert call("get", "subscriptions/main/").json()["max_rate"] == 2.5


def test_another_rate_holds_at_once(subscribe):
    made = subscribe(max_rate=0.01)
    Subscription.objects.filter(pk=made.pk).update(free_at="2100-01-01T00:00Z")
    assert subscribe(max_rate=0.01).free_at is not None
    assert subscribe(max_rate=5).free_at is None


def test_pace_is_smooth_and_makes_nothing_up():
    assert rate_limit.after(None, count=5, rate=10, now=100.0) == 100.5
    assert rate_limit.after(100.5, count=5, rate=10, now=100.1) == 101.0
    assert rate_limit.after(100.5, count=5, rate=10, now=200.0) == 200.5
    assert rate_limit.after(100.5, count=5, rate=None, now=200.0) is None
    assert [rate_limit.batch(100, rate) for rate in (None, 1000, 10, 0.5)] == [100, 100, 10, 1]


def test_a_body_that_is_too_large_is_refused_before_it_is_read(call, settings):
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "BODY_LIMIT": 100}
    answer = call("put", "subscriptions/main/", "x" * 101)
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:pubsubpull:problem:too-large")
    assert call("put", "subscriptions/main/", "x" * 100).status_code == 400
    assert call("get", "changes/", **{"Transfer-Encoding": "chunked"}).status_code == 413
    assert call("put", "subscriptions/main/", "{}", **{"Content-Length": "²"}).status_code == 413


def test_a_consumer_that_asks_too_often_is_told_when_to_come_back(call, settings):
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "REQUEST_RATE": 0.2}
    cache.clear()
    statuses = {call("get", "changes/").status_code for _ in range(7)}
    assert statuses == {200, 429}
    answer = next(found for _ in range(7) if (found := call("get", "changes/")).status_code == 429)
    assert answer.json()["type"] == "urn:pubsubpull:problem:too-many-requests"
    assert 1 <= int(answer.headers["Retry-After"]) <= 10
    _, other = consumers.add("other", ["shop.customer"])
    assert consumers.authenticate(other)


def test_requests_are_counted_a_window_at_a_time_and_a_consumer_at_a_time(token, settings):
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "REQUEST_RATE": 0.1}
    cache.clear()
    consumer = consumers.authenticate(token)
    other, _ = consumers.add("other", ["shop.customer"])
    limits.check_rate(consumer, now=1000.0)
    with pytest.raises(problems.Problem) as refused:
        limits.check_rate(consumer, now=1003.2)
    assert refused.value.headers == {"Retry-After": "7"}
    limits.check_rate(other, now=1003.2)
    limits.check_rate(consumer, now=1010.0)


@pytest.mark.parametrize("backend", ["django.core.cache.backends.dummy.DummyCache", "tests.broken_cache.Cache"])
def test_a_cache_that_keeps_nothing_or_is_away_ends_no_service(token, settings, backend):
    settings.CACHES = {"default": {"BACKEND": backend}}
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "REQUEST_RATE": 0.1}
    consumer = consumers.authenticate(token)
    for _ in range(3):
        limits.check_rate(consumer)


def test_held_rates_come_from_the_row(subscribe):
    subscribe(max_rate=3)
    live = store.Store(using="default", worker=uuid.uuid4())
    live.renew(name="w", lease=60)
    ((lease,), _) = live.claim(1)
    assert (lease.terms.max_rate, lease.checkpoint.free_at, lease.batch_limit) == (3.0, None, 3)
    assert dataclasses.replace(lease, terms=dataclasses.replace(lease.terms, max_rate=None)).batch_limit == 100
