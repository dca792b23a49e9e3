"""Erased values are reported as erased: in histories, states, restoring, the admin and over HTTP."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import connection

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.audit.integrity import erasure
from pubsubpull.pull import consumers
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _empty_log(transactional_db):
    run("TRUNCATE pubsubpull_change, pubsubpull_request, pubsubpull_erasure")


def run(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None


def now():
    return run("SELECT clock_timestamp()")[0][0]


def erase(customer):
    erasure.erase("default", "shop.customer", str(customer.pk), by="dpo", reason="asked")


@pytest.fixture
def customer():
    made = Customer.objects.create(name="a")
    with pubsubpull.context(user="ann"):
        Customer.objects.filter(pk=made.pk).update(name="b")
    return made


def test_a_history_shows_user_and_time_but_no_values_of_erased_changes(customer):
    erase(customer)
    Customer.objects.filter(pk=customer.pk).update(name="c")
    later, erased, first = pubsubpull.history(customer)
    assert (later.op, later.changed) == ("update", {"name": ("b", "c")})
    assert (erased.op, erased.old, erased.new, erased.changed, erased.user) == ("erase", None, None, {}, "ann")
    assert first.op == "erase"


def test_an_erased_change_may_have_changed_any_column(customer):
    erase(customer)
    assert [entry.op for entry in pubsubpull.history(customer, column="email")] == ["erase", "erase"]


def test_a_state_that_was_erased_is_told_as_unknown_and_not_as_absence(customer):
    moment = now()
    erase(customer)
    words = f"The row of shop.customer {customer.pk} at that moment has been erased"
    for when in (moment, moment.replace(year=2001)):
        with pytest.raises(exceptions.HistoryErased, match=words):
            pubsubpull.as_of(Customer, customer.pk, when)


def test_a_state_that_was_erased_is_known_where_the_next_change_found_it_so(customer):
    moment = now()
    version = pubsubpull.history(customer)[0].version
    erase(customer)
    Customer.objects.filter(pk=customer.pk).update(name="c")
    found = pubsubpull.as_of(Customer, customer.pk, moment)
    assert (found.version, found.data["name"]) == (version, "b")


def test_a_deleted_and_erased_object_is_absent_afterwards_and_unknown_before(customer):
    moment, key = now(), customer.pk
    customer.delete()
    customer.pk = key
    erase(customer)
    assert pubsubpull.as_of(Customer, key, now()) is None
    with pytest.raises(exceptions.HistoryErased):
        pubsubpull.as_of(Customer, key, moment)
    last = pubsubpull.history(Customer, key)[0]
    assert (last.op, last.old, last.new, last.changed) == ("erase", None, None, {})
    with pytest.raises(exceptions.RestoreError, match="was deleted: name another"):
        pubsubpull.restore(Customer, key, last.version)


def test_after_a_truncate_nothing_is_there_whatever_was_erased_before(customer):
    run("TRUNCATE shop_customer CASCADE")
    erase(customer)
    assert pubsubpull.as_of(Customer, customer.pk, now()) is None


def test_an_erased_version_is_not_restored(customer):
    version = pubsubpull.history(customer)[0].version
    erase(customer)
    with pytest.raises(exceptions.RestoreError, match="its row has since been erased on request: name another version"):
        pubsubpull.restore(customer, version)
    assert Customer.objects.get().name == "b"


def test_the_admins_page_says_that_a_change_was_erased_and_offers_no_restoring(client, customer):
    erase(customer)
    client.force_login(User.objects.create_superuser("boss"))
    text = client.get(f"/admin/shop/customer/{customer.pk}/history/").content.decode()
    assert text.count("Erased on request") == 2
    assert "by ann" in text
    assert "Restore version" not in text


def test_over_http_the_trail_has_erase_and_a_row_as_it_was_is_gone(client, customer):
    token = consumers.add("auditor", ["*"], may_audit=True, may_subscribe=False)[1]
    moment = now().isoformat()
    erase(customer)

    def get(kind, **query):
        url = f"/pubsubpull/models/shop.customer/{kind}/{customer.pk}/"
        return client.get(url, query, headers={"Authorization": f"Bearer {token}"})

    assert [(item["op"], item["changed"]) for item in get("audit").json()["items"]] == [("erase", {})] * 2
    assert len(get("audit", column="email").json()["items"]) == 2
    answer = get("instances", at=moment)
    assert (answer.status_code, answer.json()["type"]) == (410, "urn:pubsubpull:problem:erased")
    assert "erased on request" in answer.json()["detail"]
