"""The trail over HTTP: narrowed, and rows as they were."""

from __future__ import annotations

import pytest
from django.db import connection

import pubsubpull
from pubsubpull.pull import consumers
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def get(client):
    tokens = {
        True: consumers.add("auditor", ["*"], may_audit=True, may_subscribe=False)[1],
        False: consumers.add("reader", ["*"])[1],
    }
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE pubsubpull_change, pubsubpull_request")

    def call(path, status=200, auditor=True, **query):
        path = path if path.startswith("http") else f"/pubsubpull/models/shop.customer/{path}"
        answer = client.get(path, query, headers={"Authorization": f"Bearer {tokens[auditor]}"})
        assert answer.status_code == status, answer.content
        return answer.json()

    return call


def moment():
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0].isoformat()


def test_a_trail_is_narrowed_by_person_time_and_column(get):
    customer = Customer.objects.create(name="a")
    middle = moment()
    with pubsubpull.context(user="ann"):
        Customer.objects.filter(pk=customer.pk).update(name="b")
    Customer.objects.filter(pk=customer.pk).update(email="c")
    path = f"audit/{customer.pk}/"

    def changed(**query):
        return [sorted(item["changed"]) for item in get(path, **query)["items"]]

    assert changed(user="ann") == [["name"]]
    assert changed(column="email") == [["email"], ["email", "id", "name"]]
    assert changed(since=middle) == [["email"], ["name"]]
    assert changed(until=middle) == [["email", "id", "name"]]


def test_a_page_without_matches_links_to_the_next_and_keeps_the_filter(get):
    customer = Customer.objects.create(name="a")
    for name in "bcd":
        Customer.objects.filter(pk=customer.pk).update(name=name)
    page = get(f"audit/{customer.pk}/", limit=3, column="email")
    assert page["items"] == []
    following = get(page["next"])
    assert [item["op"] for item in following["items"]] == ["insert"]
    assert "column=email" in page["next"]


def test_a_row_as_it_was_at_a_moment(get):
    before = moment()
    customer = Customer.objects.create(name="a")
    first = moment()
    Customer.objects.filter(pk=customer.pk).update(name="b")
    path = f"instances/{customer.pk}/"
    then = get(path, at=first)
    assert (then["key"], then["data"]["name"]) == (str(customer.pk), "a")
    assert 0 < then["version"] < get(path)["version"]
    assert get(path, 404, at=before)["detail"].startswith("shop.customer had no row")
    customer.delete()
    get(path, 404, at=moment())
    assert get(path, at=first) == then


def test_a_row_that_the_log_never_met_is_as_it_is(get):
    customer = Customer.objects.create(name="a")
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE pubsubpull_change")
    assert get(f"instances/{customer.pk}/", at=moment())["data"]["name"] == "a"


def test_how_a_row_was_takes_the_audit_grant_and_a_time_zone(get):
    customer = Customer.objects.create(name="a")
    get(f"instances/{customer.pk}/", 403, auditor=False, at=moment())
    assert "time zone" in get(f"instances/{customer.pk}/", 400, at="2026-01-31T12:00:00")["detail"]
    assert "NUL" in get(f"audit/{customer.pk}/", 400, user="a\0")["detail"]
