"""Trails of tables whose columns were renamed, dropped, added or given another type read well."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User
from django.db import connection

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.pages import values
from tests.shop.models import Customer, Order

pytestmark = pytest.mark.django_db(transaction=True)


def run(statement, params=None):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)


@pytest.fixture
def page(client):
    client.force_login(User.objects.create_superuser("boss"))

    def get(row, **query):
        answer = client.get(f"/admin/shop/{row._meta.model_name}/{row.pk}/history/", query)
        assert answer.status_code == 200
        return answer.content.decode()

    return get


@pytest.fixture
def renamed():
    """Make a customer whose column was renamed from `nick` to `name`, and lost another, between two changes."""
    customer = Customer.objects.create(name="a")
    run(
        "UPDATE pubsubpull_change SET new = %s",
        [json.dumps({"id": customer.pk, "nick": "a", "fax": "123", "email": ""})],
    )
    Customer.objects.filter(pk=customer.pk).update(name="b")
    return customer


def test_a_change_tells_the_columns_that_there_were_then(renamed):
    latest, first = pubsubpull.history(renamed)
    assert latest.changed == {"name": ("a", "b")}, "a column that was renamed or added is no change"
    assert first.changed["nick"] == (None, "a")
    assert pubsubpull.as_of(Customer, renamed.pk, first.at).data["nick"] == "a"
    assert [entry.version for entry in pubsubpull.history(renamed, column="fax")] == [first.version]


def test_the_admins_page_says_which_columns_are_no_more_and_narrows_by_them_too(renamed, page):
    text = page(renamed)
    assert "nick (no longer a column)" in text
    assert "<option>fax</option>" in text
    narrowed = page(renamed, column="fax")
    assert "123" in narrowed
    assert '<td class="psp-text">b</td>' not in narrowed


def test_restoring_names_the_columns_that_are_no_more(renamed, client, page):
    first = pubsubpull.history(renamed)[1].version
    with pytest.raises(exceptions.RestoreError, match="shop.customer no longer has the columns fax, nick"):
        pubsubpull.restore(renamed, first)
    page(renamed)
    answer = client.get(f"/admin/shop/customer/{renamed.pk}/history/restore/", {"version": first})
    assert "no longer has the columns fax, nick" in answer.content.decode()


@pytest.mark.parametrize("was", ["a text", 10**30, {"a": 1}, [1], True])
def test_a_value_that_a_foreign_key_could_not_have_is_shown_as_it_is(page, was):
    order = Order.objects.create(customer=Customer.objects.create(name="Miller"))
    run("UPDATE pubsubpull_change SET new = new || jsonb_build_object('customer_id', %s::jsonb)", [json.dumps(was)])
    assert "customer" in page(order)


def test_a_foreign_key_to_another_column_than_the_key_has_the_right_name():
    class Target:
        attname = "code"
        model = Customer

    class Field:
        remote_field = related_model = Customer
        target_field = Target

    names = {("shop.customer", "code", "7"): "seven", ("shop.customer", "id", "7"): "another"}
    assert values._shown("shop.order", "customer_id", Field, 7, names) == "seven (7)"


def test_a_value_that_is_no_choice_and_cannot_be_one_is_shown_as_it_is():
    class Field:
        remote_field = None
        flatchoices = (("a", "An A"),)

    assert [values._shown("shop.order", "x", Field, value, {}) for value in ("a", "b", ["a"])] == ["An A", "b", '["a"]']
