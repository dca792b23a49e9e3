"""How much each page of the admin asks of PostgreSQL: the same, however much there is."""

from __future__ import annotations

import contextlib
import re
import sys

import pytest
from django.contrib.auth.models import User
from django.db import connection

import pubsubpull
from pubsubpull.models import Failure
from pubsubpull.operate import samples
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests.shop.models import Customer, Order

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(sys.platform != "linux", reason="psycopg traces the wire on Linux only"),
]
STATEMENT = re.compile(r"\tF\t\d+\t(Query|Parse)\t(.*)")


@contextlib.contextmanager
def statements(path):
    """Give the statements that are sent meanwhile, from the wire: Django counts only its own."""
    connection.ensure_connection()
    pg = connection.connection.pgconn
    found = []
    with path.open("w") as trace:
        pg.trace(trace.fileno())
        try:
            yield found
        finally:
            pg.untrace()
    found += [match[2] for line in path.read_text().splitlines() if (match := STATEMENT.search(line))]


def write(many):
    """Make a number of objects of every kind; return the arguments of the pages."""
    consumer, _ = consumers.add(f"billing-{many}", ["shop.customer"], may_subscribe=True)
    with pubsubpull.context(user="ann") as made:
        order = Order.objects.create(reference="A-1")
        for number in range(many):
            customer = Customer.objects.create(name=f"customer {number}")
            Order.objects.filter(pk=order.pk).update(customer=customer, status=f"state {number}")
    for number in range(many):
        wish = service.SubscriptionSpec(callback="http://127.0.0.1:9/", models=["shop.customer"])
        one, *_ = service.put(consumer, f"s{number}", wish)
    for number in range(many):
        item = f'{{"version":{number},"key":"1","old":null}}'
        given = {"version": number, "model": "shop.customer", "op": "insert", "item": item}
        Failure.objects.create(subscription=one, attempts=1, error="refused", **given)
    Customer.objects.create(name="that nobody has had")
    samples.take("default")
    return order, made, one


PAGES = {
    "history": (6, "/admin/shop/order/{order}/history/"),
    "restore": (7, "/admin/shop/order/{order}/history/restore/?version={version}"),
    "request": (4, "/admin/pubsubpull/change/requests/{request}/"),
    "log": (5, "/admin/pubsubpull/change/"),
    "log of a key": (4, "/admin/pubsubpull/change/?model=shop.order&key={order}"),
    "log of a person": (4, "/admin/pubsubpull/change/?user=ann"),
    "operators": (15, "/admin/pubsubpull/subscription/"),
    "operators by name": (15, "/admin/pubsubpull/subscription/?q=s1&page=2"),
    "set aside": (5, "/admin/pubsubpull/subscription/{subscription}/failures/"),
}


@pytest.mark.parametrize(("count", "path"), PAGES.values(), ids=list(PAGES))
def test_a_page_takes_the_same_queries_however_much_there_is(client, tmp_path, count, path):
    client.force_login(User.objects.create_superuser("boss"))
    for many in (2, 25):
        order, made, one = write(many)
        names = {
            "subscription": one.pk,
            "order": order.pk,
            "request": made.id,
            "version": pubsubpull.history(order)[0].version,
        }
        client.get(path.format(**names))  # queries that run once a process are not the page's
        with statements(tmp_path / "trace") as found:
            assert client.get(path.format(**names)).status_code == 200
        assert len(found) == count, found
