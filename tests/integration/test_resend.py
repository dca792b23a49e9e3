"""Sending rows again from code and from the admin."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.log import feed
from pubsubpull.models import Change, Request
from tests import roles
from tests.shop.models import Customer, Order, Place, Restaurant, Secret, Stock

pytestmark = pytest.mark.django_db(transaction=True)


def since(before):
    return [(one.model, one.op, one.old == one.new) for one in Change.objects.filter(id__gt=before).order_by("id")]


def test_a_resent_instance_is_logged_again_with_the_user_who_resent_it():
    customer = Customer.objects.create(name="a")
    Customer.objects.update(name="b")
    before = Change.objects.latest("id").id
    with pubsubpull.context(source="repair", user=User.objects.create(username="ann")):
        assert pubsubpull.resend(customer) == 1
    change = Change.objects.filter(id__gt=before).get()
    assert (change.op, change.old, change.new["name"]) == ("U", change.new, "b")
    assert Request.objects.get(id=change.request_id).user_name == "ann"


def test_excluded_and_masked_columns_stay_so():
    order = Order.objects.create(internal_note="hidden", card="4711")
    assert pubsubpull.resend(order) == 1
    new = Change.objects.latest("id").new
    assert "internal_note" not in new
    assert new["card"] != "4711"


def test_a_query_is_sent_as_it_says_sliced_and_joined_too():
    Customer.objects.bulk_create(Customer(name=name) for name in "abcd")
    Stock.objects.bulk_create(Stock(warehouse="w", article=n) for n in range(3))
    before = Change.objects.latest("id").id
    assert pubsubpull.resend(Customer.objects.filter(name__in="ab")) == 2
    assert pubsubpull.resend(Customer.objects.order_by("-name")[:3]) == 3
    assert pubsubpull.resend(Customer.objects.filter(name="a").union(Customer.objects.filter(name="d"))) == 2
    assert pubsubpull.resend(Customer.objects.none()) == 0
    assert pubsubpull.resend(Stock.objects.get(article=1)) == 1
    assert len(since(before)) == 8


def test_the_rows_of_parents_are_sent_with_a_childs():
    restaurant = Restaurant.objects.create(name="a", seats=3)
    before = Change.objects.latest("id").id
    assert pubsubpull.resend(restaurant) == 2
    assert since(before) == [("shop.place", "U", True), ("shop.restaurant", "U", True)]


def test_a_subscriber_or_puller_gets_it():
    place = Place.objects.create(name="a")
    cursor = feed.present().cursor()
    pubsubpull.resend(place)
    assert feed.page(cursor, limit=10, models=["shop.place"]).count == 1


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (lambda: Secret.objects.create(text="a"), r"shop\.Secret is not published"),
        (Secret.objects.all, r"shop\.Secret is not published"),
        (lambda: Customer(name="a"), "has not been saved"),
        (lambda: Customer, "an instance or a queryset"),
    ],
)
def test_an_unsendable_message_is_refused(target, said):
    with pytest.raises(exceptions.PublicationError, match=said):
        pubsubpull.resend(target())


def test_a_row_that_is_gone_is_passed_by():
    customer = Customer.objects.create(name="a")
    Customer.objects.filter(pk=customer.pk).delete()
    assert pubsubpull.resend(customer) == 0


def test_a_role_without_write_access_to_the_log_gets_a_remedy():
    customer = Customer.objects.create(name="a")
    role = roles.own("psp_resender")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {role}; GRANT SELECT, UPDATE ON shop_customer TO {role}")
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SET ROLE {role}")
        with pytest.raises(exceptions.ProtectionError, match="may not write to the log .* pubsubpull_resend"):
            pubsubpull.resend(customer)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")


def act(user, *rows):
    client = Client()
    client.force_login(user)
    data = {"action": "send_again", "_selected_action": [row.pk for row in rows]}
    return client.post("/admin/shop/customer/", data, follow=True).content.decode()


def test_the_admin_sends_chosen_rows_again():
    chosen, other = Customer.objects.create(name="chosen"), Customer.objects.create(name="other")
    before = Change.objects.latest("id").id
    assert "1 changes are in the log once more." in act(User.objects.create_superuser("boss"), chosen)
    (change,) = Change.objects.filter(id__gt=before)
    assert (change.key, other.name) == (str(chosen.pk), "other")
    assert Request.objects.get(id=change.request_id).user_name == "boss"


def test_the_button_needs_the_permission_to_change_the_rows():
    customer, clerk = Customer.objects.create(name="a"), User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_customer", content_type__app_label="shop"))
    before = Change.objects.latest("id").id
    assert "send_again" not in act(clerk, customer)
    assert since(before) == []


def test_too_many_rows_are_left_to_the_command():
    rows = [Customer.objects.create(name=name) for name in "abcd"]
    before = Change.objects.latest("id").id
    assert "use the command pubsubpull_resend" in act(User.objects.create_superuser("boss"), *rows)
    assert since(before) == []
