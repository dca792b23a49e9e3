"""Columns that are hidden by now are taken out of the log, with a record that they were."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

import pubsubpull
from pubsubpull.audit.integrity import erasure
from pubsubpull.capture import registry, syncing
from pubsubpull.log import feed
from pubsubpull.models import Change
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from pubsubpull.subscriptions.models import Failure
from tests.shop.models import Customer, Order

pytestmark = pytest.mark.django_db(transaction=True)


def run(statement, params=None):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else []


def call(*arguments):
    out = io.StringIO()
    call_command("pubsubpull_forget", *arguments, stdout=out, stderr=out)
    return out.getvalue()


@pytest.fixture
def customers():
    """Make five customers whose e-mail addresses and names are hidden only afterwards."""
    before = dict(registry._publications)
    run("TRUNCATE pubsubpull_change, pubsubpull_seal, pubsubpull_erasure")
    run("UPDATE pubsubpull_log SET dropped = 0")
    pubsubpull.publish(Customer)
    syncing.sync()
    made = [Customer.objects.create(name=f"name {n}", email=f"secret {n}") for n in range(5)]
    Customer.objects.update(email="secret too")
    Order.objects.create(reference="secret of another")
    for _ in range(2):
        run("SELECT pubsubpull_settle()")
    pubsubpull.publish(Customer, exclude=["email"], mask=["name"])
    syncing.sync()
    yield made
    registry._publications.clear()
    registry._publications.update(before)
    syncing.sync()


def verified():
    """Return the differences from the seals."""
    out = io.StringIO()
    try:
        call_command("pubsubpull_verify", stdout=out, stderr=out)
    except CommandError as error:
        return f"{out.getvalue()}{error}"
    return ""


def seal():
    call_command("pubsubpull_seal", "--age", "0", stdout=io.StringIO())


def test_without_yes_it_only_says_how_many_there_are(customers):
    before = list(Change.objects.values())
    assert "10 changes have email of shop.customer" in call("shop.customer", "email")
    assert "10 changes have email, name of shop.customer" in call("shop.Customer", "email", "name")
    assert list(Change.objects.values()) == before


def test_values_hidden_by_now_are_gone_and_nothing_else(customers):
    out = call("shop.customer", "email", "name", "--yes", "--batch", "3")
    assert "10 changes are without email, name of shop.customer now" in out
    images = [i for c in Change.objects.filter(model="shop.customer") for i in (c.old, c.new) if i]
    assert {frozenset(image) for image in images} == {frozenset({"id"})}
    assert Change.objects.get(model="shop.order").new["reference"] == "secret of another"
    assert "0 changes have" in call("shop.customer", "email", "name")
    Customer.objects.update(name="changed")
    assert "0 changes are without" in call("shop.customer", "email", "name", "--yes"), "a mask says nothing"


def test_seals_still_verify_and_detect_later_alterations(customers):
    seal()
    call("shop.customer", "email", "--yes", "--by", "dpo", "--reason", "asked")
    assert verified() == ""
    call("shop.customer", "name", "--yes", "--by", "dpo")
    assert verified() == ""
    assert run("SELECT DISTINCT erased_by, columns FROM pubsubpull_erasure ORDER BY 2") == [
        ("dpo", ["email"]),
        ("dpo", ["name"]),
    ]
    change = Change.objects.filter(model="shop.customer").first()
    run("UPDATE pubsubpull_change SET new = new || '{\"id\": 77}' WHERE id = %s", [change.id])
    assert f"{change.id} altered" in verified()


def test_forgotten_values_may_be_erased_and_erased_ones_are_left(customers):
    seal()
    key = str(customers[0].pk)
    erasure.erase("default", "shop.customer", str(customers[1].pk), by="dpo", reason="asked")
    assert "8 changes are without" in call("shop.customer", "email", "--yes")
    erasure.erase("default", "shop.customer", key, by="dpo", reason="asked")
    assert verified() == ""
    assert Change.objects.filter(model="shop.customer", op="E").count() == 4


def test_a_column_that_is_still_captured_or_an_unknown_model_is_refused(customers):
    with pytest.raises(CommandError, match="id of shop.customer is captured: exclude or mask it first"):
        call("shop.customer", "email", "id", "--yes")
    with pytest.raises(CommandError, match=r"shop\.none is not published"):
        call("shop.none", "email", "--yes")
    assert Change.objects.filter(new__has_key="email").count() == 10


def test_a_column_that_no_field_has_any_more_is_taken_out_too(customers):
    run("UPDATE pubsubpull_change SET new = new || '{\"fax\": \"1\"}' WHERE model = 'shop.customer'")
    assert "10 changes are without fax" in call("shop.customer", "fax", "--yes")
    assert not Change.objects.filter(new__has_key="fax").exists()


def test_it_is_taken_out_of_changes_that_were_set_aside_too(customers):
    consumer = consumers.add("reader", ["*"], may_subscribe=True)[0]
    wish = service.SubscriptionSpec(callback="http://127.0.0.1:9/", models=["shop.customer"])
    subscription = service.put(consumer, "main", wish)[0]
    row = feed.rows(None, limit=1, models=["shop.customer"]).rows[0]
    item = json.loads(row.item)
    item["new"] |= {"email": "secret", "name": "name"}
    given = {"version": row.version, "model": row.model, "op": row.op, "attempts": 1, "error": "500"}
    failure = Failure.objects.create(subscription=subscription, item=json.dumps(item), **given)
    call("shop.customer", "email", "name", "--yes")
    failure.refresh_from_db()
    assert json.loads(failure.item) == {**item, "new": {"id": item["new"]["id"], "name": "***"}}
