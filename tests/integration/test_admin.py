"""The history pages of the admin: their content and their permissions."""

from __future__ import annotations

import functools
from decimal import Decimal

import pytest
from django.db import connection

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.pages import texts
from tests import factories
from tests.shop.events import OrderPlaced
from tests.shop.models import Customer, Order

pytestmark = pytest.mark.django_db(transaction=True)
LOG = "/admin/pubsubpull/change/"


@pytest.fixture
def boss(client):
    return factories.log_in_superuser(client)


@pytest.fixture
def clerk(client):
    """Log in a member of the staff with the permissions `allow`."""
    client.allow = functools.partial(factories.grant, factories.log_in_staff(client))
    return client


def page(client, url, status=200, **query):
    answer = client.get(url, query)
    assert answer.status_code == status, answer.content.decode()[:2000]
    return answer.content.decode()


def history_of(row):
    return f"/admin/shop/{row._meta.model_name}/{row.pk}/history/"


def test_an_objects_page_shows_user_change_time_and_request(boss):
    order = Order.objects.create(customer=Customer.objects.create(name="Miller & Sons"), card="4711")
    with pubsubpull.context(user="ann") as made:
        Order.objects.filter(pk=order.pk).update(status="paid", customer=None)
    text = page(boss, history_of(order))
    assert "by ann" in text
    assert str(made.id) in text
    assert '<td class="psp-text">new</td><td class="psp-text">paid</td>' in text
    assert "(hidden)" in text
    assert "4711" not in text
    assert f"({order.customer_id})" in text


def test_values_are_escaped(boss):
    customer = Customer.objects.create(name="<script>alert(1)</script>")
    text = page(boss, history_of(customer))
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_a_page_is_narrowed_by_person_column_and_time(boss):
    customer = Customer.objects.create(name="a")
    with pubsubpull.context(user="ann"):
        Customer.objects.filter(pk=customer.pk).update(name="b")
    with pubsubpull.context(user="ben"):
        Customer.objects.filter(pk=customer.pk).update(email="c")
    path = history_of(customer)
    assert "by ben" not in page(boss, path, user="ann")
    assert "by ann" not in page(boss, path, column="email")
    assert "by ann" not in page(boss, path, until="2001-01-01")
    assert "since: it is a date" in page(boss, path, since="yesterday")


def test_a_page_says_where_older_changes_are(boss):
    customer = Customer.objects.create(name="first")
    for number in range(60):
        Customer.objects.filter(pk=customer.pk).update(name=str(number))
    text = page(boss, history_of(customer))
    assert text.count("<time") == 50
    before = text.split("?before=")[1].split('"')[0]
    assert page(boss, history_of(customer), before=before).count("<time") == 11


def test_an_earlier_version_is_shown_first_and_restored_then(boss):
    customer = Customer.objects.create(name="a")
    first = pubsubpull.history(customer)[0].version
    Customer.objects.filter(pk=customer.pk).update(name="b")
    latest = pubsubpull.history(customer)[0].version
    path = history_of(customer) + "restore/"
    assert '<td class="psp-text">b</td><td class="psp-text">a</td>' in page(boss, path, version=first)
    assert Customer.objects.get().name == "b"
    answer = boss.post(path, {"version": first, "latest": latest})
    assert (answer.status_code, answer.url) == (302, "../")
    assert Customer.objects.get().name == "a"
    entry = pubsubpull.history(customer)[0]
    assert (entry.user, entry.request["path"]) == ("boss", path)


def test_an_object_changed_since_it_was_shown_is_not_restored(boss):
    customer = Customer.objects.create(name="a")
    first = pubsubpull.history(customer)[0].version
    Customer.objects.filter(pk=customer.pk).update(name="b")
    answer = boss.post(history_of(customer) + "restore/", {"version": first, "latest": first})
    assert answer.status_code == 409
    assert "has changed since" in answer.content.decode()
    assert Customer.objects.get().name == "b"


def test_a_deleted_object_has_its_page_and_is_brought_back(boss):
    customer = Customer.objects.create(name="a")
    path, key = history_of(customer), customer.pk
    version = pubsubpull.history(customer)[0].version
    customer.delete()
    assert "Delete" in page(boss, path).title()
    boss.post(path + "restore/", {"version": version})
    assert Customer.objects.get().pk == key


def test_after_an_uncaptured_block_no_version_is_taken_for_the_present_row(boss):
    customer = Customer.objects.create(name="a")
    version = pubsubpull.history(customer)[0].version
    assert "restore/?version" not in page(boss, history_of(customer))
    with pubsubpull.uncaptured(Customer, reason="load"):
        Customer.objects.update(name="b")
    assert f"restore/?version={version}" in page(boss, history_of(customer))
    with pytest.raises(exceptions.RestoreError, match="has changed since"):
        pubsubpull.restore(customer, version, latest=version)
    path = history_of(customer) + "restore/"
    latest = page(boss, path, version=version).split('name="latest" value="')[1].split('"')[0]
    assert boss.post(path, {"version": version, "latest": latest}).status_code == 302
    assert Customer.objects.get().name == "a"


def test_an_object_that_a_truncate_took_is_brought_back(boss):
    customer = Customer.objects.create(name="a")
    version = pubsubpull.history(customer)[0].version
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE shop_customer CASCADE")
    assert boss.post(history_of(customer) + "restore/", {"version": version}).status_code == 302
    assert Customer.objects.get().name == "a"


def test_an_event_since_is_no_change_of_the_object(boss):
    order = Order.objects.create(reference="a", quantity=1, total=1)
    version = pubsubpull.history(order)[0].version
    Order.objects.update(reference="b")
    pubsubpull.emit(OrderPlaced(order=order.pk, total=Decimal(1)), alone=True)
    assert pubsubpull.history(order)[0].op == "event"
    assert boss.post(history_of(order) + "restore/", {"version": version}).status_code == 302
    assert Order.objects.get().reference == "a"


def test_restoring_takes_a_token_against_forgery(boss):
    customer = Customer.objects.create(name="a")
    boss.handler.enforce_csrf_checks = True
    assert boss.post(history_of(customer) + "restore/", {"version": 1}).status_code == 403


def test_an_object_that_never_was_is_not_found(boss):
    page(boss, "/admin/shop/customer/4711/history/", 404)


def test_each_page_takes_djangos_permission_to_view(clerk):
    customer = Customer.objects.create(name="a")
    version = pubsubpull.history(customer)[0].version
    page(clerk, history_of(customer), 403)
    clerk.allow("view_customer")
    assert "Restore version" not in page(clerk, history_of(customer))
    page(clerk, history_of(customer) + "restore/", 403, version=version)
    assert clerk.post(history_of(customer) + "restore/", {"version": version}).status_code == 403
    page(clerk, LOG, 403)


def test_the_log_and_a_request_show_only_models_that_may_be_viewed(clerk):
    with pubsubpull.context(user="ann") as made:
        order = Order.objects.create(reference="an order")
        Customer.objects.create(name="a customer")
    clerk.allow("view_change", "view_customer")
    for path in (LOG, f"{LOG}requests/{made.id}/"):
        text = page(clerk, path)
        assert "a customer" in text
        assert "an order" not in text
    assert "an order" not in page(clerk, LOG, model="shop.order", key=order.pk)


def test_the_log_is_searched_by_model_key_person_and_path(boss):
    with pubsubpull.context(user="ann"):
        customer = Customer.objects.create(name="by context")
    boss.get("/write/by-request/")
    assert "by-request" not in page(boss, LOG, model="shop.customer", key=customer.pk)
    assert "by context" not in page(boss, LOG, path="/write/")
    assert "by-request" in page(boss, LOG, path="/write/")
    assert "by context" in page(boss, LOG, user="ann")
    assert "Choose a model" in page(boss, LOG, key="1")


def test_nothing_of_the_log_can_be_added_edited_or_deleted(boss):
    Customer.objects.create(name="a")
    version = pubsubpull.history(models=[Customer])[0].version
    for path in ("add/", f"{version}/change/", f"{version}/delete/"):
        page(boss, LOG + path, 404)


@pytest.mark.parametrize("changes", [1, 30])
def test_a_page_takes_the_same_queries_however_long(boss, changes, django_assert_num_queries):
    customers = [Customer.objects.create(name=str(n)) for n in range(changes)]
    order = Order.objects.create()
    for customer in customers:
        Order.objects.filter(pk=order.pk).update(customer=customer)
    with django_assert_num_queries(
        4
    ):  # session, user, object, the customers' names; the log's one is not counted by Django
        page(boss, history_of(order))


def test_a_long_text_is_shown_as_its_removed_and_added_parts():
    old = "a word " * 20
    kinds = [(piece.kind, piece.text) for piece in texts.pieces(old, old + "more", texts.Effort())]
    assert ("new", "more") in kinds
    assert "".join(text for kind, text in kinds if kind != "new") == old
