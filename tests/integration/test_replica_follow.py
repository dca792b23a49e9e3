"""Following by pull, against a live server of the same test database."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import override_settings

from pubsubpull.pull import consumers
from pubsubpull.replica import follow
from pubsubpull.replica.models import Copy, CopyPage, ReplicaState
from tests.replicas import models as here
from tests.shop import models as there

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def follower(live_server, settings):
    """Give a follower of the shop, which the same process serves."""
    token = consumers.add("billing", ["*"], may_subscribe=True)[1]
    service = {"url": f"{live_server.url}/pubsubpull/", "token": token}
    with override_settings(PUBSUBPULL={"SERVICE_NAME": "shop", "BACKOFF_FIRST": 0.01, "SERVICES": {"shop": service}}):
        yield follow.Follower("shop", using="default")


def write():
    customers = there.Customer.objects.bulk_create(there.Customer(name=f"c{n}", email=f"{n}@x") for n in range(20))
    there.Order.objects.bulk_create(
        there.Order(
            customer=customers[n % 20],
            reference=str(n),
            quantity=n,
            total=Decimal(n),
            status="paid" if n % 2 else "new",
        )
        for n in range(30)
    )
    there.Stock.objects.bulk_create(there.Stock(warehouse="w", article=n) for n in range(5))


def equal():
    customers = list(there.Customer.objects.order_by("id").values_list("id", "name", "email"))
    assert list(here.Customer.objects.order_by("id").values_list("id", "name", "email")) == customers
    orders = ("id", "customer_id", "reference", "quantity", "total", "status", "placed")
    local = tuple("number" if name == "reference" else name for name in orders)
    assert list(here.Order.objects.order_by("id").values_list(*local)) == list(
        there.Order.objects.order_by("id").values_list(*orders)
    )
    paid = there.Order.objects.filter(status__in=["paid", "sent"]).order_by("id")
    assert list(here.PaidOrder.objects.order_by("id").values_list("id", "reference", "status")) == list(
        paid.values_list("id", "reference", "status")
    )
    big = there.Order.objects.filter(quantity__gt=10).order_by("id")
    assert list(here.BigOrder.objects.order_by("id").values_list("id", "quantity")) == list(
        big.values_list("id", "quantity")
    )
    assert dict(here.Shout.objects.values_list("source_id", "shout")) == {
        key: name.upper() for key, name, _ in customers
    }
    assert set(here.Stock.objects.values_list("warehouse", "article", "amount")) == set(
        there.Stock.objects.values_list("warehouse", "article", "amount")
    )


def test_all_rows_are_copied_and_then_their_changes_follow(follower):
    write()
    follower.run_once()
    equal()
    assert not Copy.objects.exists()
    assert not CopyPage.objects.exists()
    there.Order.objects.filter(quantity__lt=5).delete()
    there.Order.objects.filter(quantity__lt=12).update(status="sent", quantity=40)
    there.Order.objects.filter(quantity__gt=25).update(status="new")
    there.Customer.objects.create(name="new")
    there.Stock.objects.filter(article=3).update(amount=7)
    follower.run_once()
    equal()
    assert {state.state for state in ReplicaState.objects.all()} == {"following"}


def test_local_columns_are_given_once_and_never_touched(follower):
    order = there.Order.objects.create(reference="a")
    follower.run_once()
    assert here.Order.objects.get().note == "mine"
    assert here.Order.objects.get().origin == "shop"
    here.Order.objects.update(note="kept", priority=3)
    order.status = "paid"
    order.save()
    follower.run_once()
    mine = here.Order.objects.get()
    assert (mine.note, mine.priority, mine.status) == ("kept", 3, "paid")
    assert mine.version > 0
