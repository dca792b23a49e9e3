"""Fixtures of a whole database: the application's rows are loaded, and the log stays this database's own."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import connection

import pubsubpull
from pubsubpull.models import Change, Consumer, Log, Request
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests.shop.models import Customer, Order

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("form", ["json", "jsonl", "xml"])
def test_a_dump_of_everything_is_loaded_again(form, tmp_path):
    with pubsubpull.context(user="ann"):
        order = Order.objects.create(customer=Customer.objects.create(name="a"), total="12.30")
    consumer, _ = consumers.add("billing", ["shop.order"], may_subscribe=True)
    service.put(consumer, "main", service.SubscriptionSpec(callback="https://a.example/", models=["shop.order"]))
    path = tmp_path / f"all.{form}"
    call_command("dumpdata", format=form, output=str(path), verbosity=0)
    Order.objects.all().delete()
    Consumer.objects.all().delete()
    before = (list(Log.objects.values()), Request.objects.count(), Change.objects.count())
    call_command("loaddata", str(path), verbosity=0)
    assert Order.objects.get().pk == order.pk
    assert Consumer.objects.get().name == "billing"
    assert (list(Log.objects.values()), Request.objects.count()) == before[:2]
    assert Change.objects.count() > before[2]
    assert pubsubpull.history(order)[0].op == "insert"
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pubsubpull_log")
        assert cursor.fetchone() == (1,)
