"""Columns excluded or masked later are not read from older changes."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

import pubsubpull
from pubsubpull.capture import registry, syncing
from pubsubpull.log import feed
from pubsubpull.pull import consumers
from tests.shop.models import Customer, Order

pytestmark = pytest.mark.django_db(transaction=True)

SECRET, CARD = "never to be seen again", "4111 1111"
BASE = "/pubsubpull/"


@pytest.fixture
def customer():
    """Make a customer and an order whose columns are hidden only afterwards."""
    before = dict(registry._publications)
    pubsubpull.publish(Customer)
    syncing.sync()
    customer = Customer.objects.create(name=CARD, email=SECRET)
    Customer.objects.filter(pk=customer.pk).update(email=f"{SECRET}!", name=f"{CARD}!")
    Order.objects.create(customer=customer)
    pubsubpull.publish(Customer, exclude=["email"], mask=["name"])
    syncing.sync()
    yield customer
    registry._publications.clear()
    registry._publications.update(before)
    syncing.sync()


@pytest.fixture
def get(client):
    token = consumers.add("reader", ["*"], may_audit=True)[1]

    def got(path, **query):
        answer = client.get(f"{BASE}{path}", query, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, answer.content
        return answer.content.decode()

    return got


def hides(text):
    return SECRET not in text and CARD not in text


CHANGES = {
    "plain": {},
    "without old": {"old": "false"},
    "compact": {"compact": "true"},
    "a model": {"models": "shop.customer"},
}


@pytest.mark.parametrize("how", CHANGES.values(), ids=CHANGES)
def test_pages_of_changes_are_without_it(customer, get, how):
    text = get("changes/", **how)
    assert hides(text)
    assert "***" in text
    assert f'"{customer.pk}"' in text


def test_a_page_that_is_looked_for_at_the_logs_end_is_without_it(customer, get):
    present = feed.present()
    pubsubpull.publish(Customer)
    syncing.sync()
    Customer.objects.filter(pk=customer.pk).update(email=f"{SECRET}?")
    pubsubpull.publish(Customer, exclude=["email"], mask=["name"])
    _, page = feed.poll(present.cursor(), limit=10, models=["shop.customer"])
    assert page is None
    text = get("changes/", after=present.cursor().encode(), models="shop.customer")
    assert hides(text)
    assert '"op":"update"' in text
    syncing.sync()
    after = feed.present().cursor()
    Customer.objects.filter(pk=customer.pk).update(name="b")
    _, page = feed.poll(after, limit=10, models=["shop.customer"])
    assert page is not None, "what has nothing hidden is found in one round trip"


def test_rows_for_subscribers_are_without_it(customer):
    rows = feed.rows(None, limit=10).rows
    assert [row.op for row in rows if row.model == "shop.customer"] == ["I", "U"]
    assert all(hides(row.item) for row in rows)


def test_trails_moments_and_requests_are_without_it(customer, get):
    at = timezone.now().isoformat()
    trail = get(f"models/shop.customer/audit/{customer.pk}/")
    assert len(json.loads(trail)["items"]) == 2
    texts = [trail, get(f"models/shop.customer/instances/{customer.pk}/", at=at)]
    assert all(map(hides, texts))
    state = pubsubpull.as_of(Customer, customer.pk, timezone.now())
    assert state.data == {"id": customer.pk, "name": "***"}


def test_histories_and_their_searches_reveal_nothing_of_a_hidden_column(customer):
    entries = pubsubpull.history(customer).entries
    assert [entry.op for entry in entries] == ["update", "insert"]
    assert all(hides(str(entry)) for entry in entries)
    assert len(pubsubpull.history(customer, column="email").entries) == 0
    assert len(pubsubpull.history(customer, column="id").entries) == 1


def test_the_admins_pages_and_exports_are_without_it(customer, client):
    client.force_login(User.objects.create_superuser("boss"))
    for path in (f"/admin/shop/customer/{customer.pk}/history/", "/admin/pubsubpull/log/"):
        answer = client.get(path, follow=True)
        if answer.status_code == 200:
            assert hides(answer.content.decode())
    assert client.get(f"/admin/shop/customer/{customer.pk}/history/").status_code == 200


def test_a_request_is_without_it(customer, get):
    pubsubpull.publish(Customer)
    syncing.sync()
    with pubsubpull.context(source="test"):
        Customer.objects.filter(pk=customer.pk).update(email=f"{SECRET}?")
    pubsubpull.publish(Customer, exclude=["email"], mask=["name"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT request_id FROM pubsubpull_change WHERE request_id IS NOT NULL ORDER BY id DESC LIMIT 1")
        (request,) = cursor.fetchone()
    text = get(f"requests/{request}/")
    assert "shop.customer" in text
    assert hides(text)
