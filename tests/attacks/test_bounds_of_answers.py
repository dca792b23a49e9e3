"""Bytes, time and number of answers have bounds on every route, for any table and any caller."""

from __future__ import annotations

import json
import time
from urllib.parse import urlencode

import pytest
from django.db import OperationalError, connection
from django.test import Client, override_settings

import pubsubpull
from pubsubpull.capture import sql
from pubsubpull.conf import NAME
from pubsubpull.log import feed, sizes, walk
from pubsubpull.log.cursor import Cursor, Snapshot
from pubsubpull.models import Change, Failure, Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests import settings as suite
from tests.shop.models import Customer, Order, Stock

pytestmark = pytest.mark.django_db(transaction=True)
MEGABYTE = 1_000_000
ROWS = 12
LARGEST = sizes.PAGE_BYTES + 2 * MEGABYTE


@pytest.fixture
def token():
    return consumers.add("reader", ["*"], may_audit=True, may_subscribe=True, may_monitor=True)[1]


@pytest.fixture
def get(token):
    def call(path, **query):
        url = path if path.startswith("http") else f"/pubsubpull/{path}"
        return Client().get(url, query, headers={"Authorization": f"Bearer {token}"})

    return call


@pytest.fixture
def large():
    """Make rows of a megabyte each, which compress well, as stored values may."""
    return [Customer.objects.create(name="x" * MEGABYTE).pk for _ in range(ROWS)]


def pages(get, path, **query):
    """Give the items of each page, as long as there is a next one, and see that none is too large."""
    answer = get(path, **query)
    while True:
        assert answer.status_code == 200, answer.content[:500]
        assert len(answer.content) < LARGEST
        body = answer.json()
        yield body
        if body["next"] is None:
            return
        answer = get(body["next"])


@pytest.mark.parametrize("query", [{}, {"newest": "true"}, {"limit": 9}, {"limit": 1}])
def test_a_page_of_rows_has_a_bound_in_bytes_and_all_rows_come(get, large, query):
    keys = [item["key"] for page in pages(get, "models/shop.customer/instances/", **query) for item in page["items"]]
    assert sorted(map(int, keys)) == large


def test_a_page_of_a_trail_has_a_bound_in_bytes_and_all_of_it_comes(get):
    customer = Customer.objects.create(name="")
    for number in range(ROWS):
        Customer.objects.update(name=str(number) * MEGABYTE)
    trail = f"models/shop.customer/audit/{customer.pk}/"
    found = [item for page in pages(get, trail) for item in page["items"]]
    assert len(found) == ROWS + 1
    assert [item["version"] for item in found] == sorted((item["version"] for item in found), reverse=True)


def test_a_requests_changes_have_a_bound_in_bytes_and_all_of_them_come(get):
    with pubsubpull.context(source="job") as context:
        for _ in range(ROWS):
            Customer.objects.create(name="x" * MEGABYTE)
    versions, after = [], None
    while True:
        answer = get(f"requests/{context.id}/", **({} if after is None else {"after": after}))
        assert len(answer.content) < LARGEST
        body = answer.json()
        versions += [change["version"] for change in body["changes"]]
        after = body["next"]
        if after is None:
            break
    assert versions == list(Change.objects.values_list("id", flat=True))


def test_rows_by_key_are_all_of_them_or_are_to_be_asked_for_in_parts(get, large):
    wanted = [str(key) for key in large]
    refused = get("models/shop.customer/rows/", wanted=json.dumps(wanted))
    assert (refused.status_code, refused.headers["Content-Type"]) == (413, "application/problem+json")
    assert "ask for fewer" in refused.json()["detail"]
    assert len(get("models/shop.customer/rows/", wanted=json.dumps(wanted[:5])).json()["items"]) == 5


def test_one_row_that_is_larger_than_a_page_is_had_everywhere(get):
    customer = Customer.objects.create(name="x" * (sizes.PAGE_BYTES + MEGABYTE))
    Customer.objects.create(name="after")
    found = [len(page["items"]) for page in pages_of_any_size(get, "models/shop.customer/instances/")]
    assert found == [1, 1]
    assert len(get("models/shop.customer/rows/", wanted=json.dumps([str(customer.pk)])).json()["items"]) == 1
    assert get(f"models/shop.customer/instances/{customer.pk}/").status_code == 200


def pages_of_any_size(get, path):
    url = path
    while url:
        body = get(url).json()
        yield body
        url = body["next"]


def test_changes_set_aside_come_in_pages_of_a_bounded_size(get, token):
    consumer = consumers.authenticate(token)
    wish = service.SubscriptionSpec(callback="http://127.0.0.1:9/", models=["shop.customer"], paused=True)
    made, _ = service.put(consumer, "main", wish)
    item = json.dumps({"version": 7, "text": "x" * MEGABYTE})
    Failure.objects.bulk_create(
        Failure(subscription=made, version=n, model="shop.customer", op="I", item=item, attempts=1, error="no")
        for n in range(ROWS)
    )
    found = [len(page["items"]) for page in pages(get, "subscriptions/main/failures/")]
    assert sum(found) == ROWS
    assert len(found) == 2


def test_a_condition_has_so_many_values_and_is_looked_up_by_its_hash(get):
    Order.objects.bulk_create(Order(reference=f"n{n}") for n in range(20_000))
    values = [f"n{n}x" for n in range(900)]
    began = time.monotonic()
    answer = get("models/shop.order/hashes/", where=json.dumps({"reference": ["n1", *values]}))
    assert answer.json()["ranges"][0]["count"] == 1
    assert time.monotonic() - began < 8, "compared one by one this takes more than ten seconds"
    refused = get("models/shop.order/hashes/", where=json.dumps({"reference": values, "status": values}))
    assert refused.status_code == 400
    assert refused.json()["field"] == "where"


def test_a_call_ends_after_the_time_that_the_database_may_take(get):
    Stock.objects.bulk_create(Stock(warehouse="w", article=n) for n in range(20_000))
    with override_settings(**{NAME: {**suite.PUBSUBPULL, "CALL_LIMIT": 0.001}}):
        answer = get("models/shop.stock/hashes/")
    assert answer.status_code == 503
    assert "took too long" in answer.json()["detail"]
    assert get("models/shop.stock/hashes/").status_code == 200


def test_a_cursor_that_was_made_up_has_the_log_looked_at_for_a_bounded_time(get):
    Stock.objects.bulk_create(Stock(warehouse="w", article=n) for n in range(walk.SCAN + 1000))
    now = feed.present()
    nothing = Snapshot(xmin=1, xmax=1)
    forged = Cursor(history=now.history, tick=now.tick, seq=now.seq, floor=0, snapshot=nothing).encode()
    with override_settings(**{NAME: {**suite.PUBSUBPULL, "CALL_LIMIT": 0.001}}):
        assert get("changes/", after=forged, models="shop.customer").status_code == 503
        assert get("changes/", models="shop.customer").status_code == 200
    assert get("changes/", after=forged, limit=10).status_code == 200


def test_a_shorter_time_out_of_the_role_stays():
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '20ms'")
        try:
            with pytest.raises(OperationalError, match="statement timeout"):
                sql.run_within("default", sql.sql.SQL("SELECT pg_sleep(2)"))
        finally:
            cursor.execute("RESET statement_timeout")


def test_a_consumer_has_so_many_subscriptions_and_sees_them_in_pages(get, token, django_assert_max_num_queries):
    consumer = consumers.authenticate(token)
    wish = service.SubscriptionSpec(callback="http://127.0.0.1:9/", models=["shop.customer"], paused=True)
    with override_settings(**{NAME: {**suite.PUBSUBPULL, "SUBSCRIPTIONS": 7}}):
        for number in range(7):
            service.put(consumer, f"n{number}", wish)
        with pytest.raises(pubsubpull.exceptions.SubscriptionError, match="name: would be one more than the 7"):
            service.put(consumer, "more", wish)
        service.put(consumer, "n3", wish)
    assert Subscription.objects.count() == 7
    with django_assert_max_num_queries(4):
        names = [item["name"] for item in get("subscriptions/").json()["items"]]
    assert names == [f"n{number}" for number in range(7)]
    found = [[item["name"] for item in page["items"]] for page in pages(get, "subscriptions/", limit=3)]
    assert found == [["n0", "n1", "n2"], ["n3", "n4", "n5"], ["n6"]]


ENDS = ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"]


@pytest.mark.parametrize("moment", ENDS)
def test_times_at_the_ends_of_the_calendar_are_taken_or_refused(get, moment, client, admin_user):
    customer = Customer.objects.create(name="a")
    trail = f"models/shop.customer/audit/{customer.pk}/"
    for url in (
        f"models/shop.customer/instances/{customer.pk}/?{urlencode({'at': moment})}",
        f"{trail}?{urlencode({'since': moment})}",
        f"{trail}?{urlencode({'until': moment})}",
        f"{trail}?{urlencode({'until': moment, 'format': 'csv'})}",
    ):
        answer = get(url)
        assert answer.status_code in {200, 400, 404}, (url, answer.content)
        b"".join(answer)
    client.force_login(admin_user)
    for name in ("since", "until"):
        assert client.get("/admin/pubsubpull/change/", {name: moment}).status_code == 200
