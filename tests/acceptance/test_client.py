"""The client against a real server."""

from __future__ import annotations

import threading
import time
from decimal import Decimal

import pytest

from pubsubpull import Client, exceptions
from pubsubpull.pull import consumers
from tests import processes
from tests.shop.models import Customer, Order

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def token():
    return consumers.add("billing", ["*"], may_audit=True, may_subscribe=True)[1]


@pytest.fixture
def client(tmp_path, token):
    with processes.gunicorn(tmp_path) as url, Client(f"{url}/pubsubpull", token) as client:
        yield client


def test_instances_then_changes_then_new_changes(client):
    Order.objects.bulk_create(Order(reference=str(n), total=Decimal("1.10")) for n in range(5))
    assert client.service()["service"] == "shop"
    instances = client.instances("shop.order", limit=2)
    cursor = instances.cursor
    rows = list(instances)
    assert [row.data["reference"] for row in rows] == list("01234")
    assert rows[0].data["total"] == Decimal("1.10")
    assert client.instance("shop.order", rows[0].key) == rows[0]
    assert client.changes(["shop.order"], cursor).items == ()

    def write():
        Order.objects.create(reference="new")
        from django.db import connection

        connection.close()

    writer = threading.Thread(target=write)
    following = client.follow(["shop.order"], cursor, wait=50)
    began = time.monotonic()
    writer.start()
    page = next(following)
    assert [change.new["reference"] for change in page.items] == ["new"]
    assert time.monotonic() - began < 40, "a waiting call answers when there is something, not when it ends"
    writer.join()
    Order.objects.update(status="paid")
    assert {change.op for change in next(following).items} == {"update"}


def test_the_trail_and_the_subscriptions_of_a_consumer(client):
    customer = Customer.objects.create(name="a")
    customer.name = "b"
    customer.save()
    assert [entry["op"] for entry in client.audit("shop.customer", str(customer.pk), limit=1)] == ["update", "insert"]
    made = client.subscribe("mails", "http://127.0.0.1:9/hook", ["shop.customer"], paused=True)
    assert made["secret"].startswith("whsec_")
    assert client.subscription("mails")["state"] == "paused"
    assert [one["name"] for one in client.subscriptions()] == ["mails"]
    client.unsubscribe("mails")
    assert client.subscriptions() == []
    with pytest.raises(exceptions.RequestRefused) as refused:
        client.request("00000000-0000-7000-8000-000000000000")
    assert refused.value.status == 404


def test_errors_name_the_mistake_and_hold_no_token(client, token):
    with pytest.raises(exceptions.RequestRefused, match="shop.nothing") as refused:
        client.changes(["shop.nothing"])
    assert refused.value.problem["field"] == "models"
    with pytest.raises(exceptions.CursorExpired, match="Read all instances"):
        client.changes(after="AgEAAAAFAAA")
    with pytest.raises(exceptions.ServiceError, match="the token is not sent there"):
        client.get("http://127.0.0.1:9/elsewhere/")
    with Client(client.url, "wrong") as other, pytest.raises(exceptions.RequestRefused) as unknown:
        other.service()
    assert unknown.value.status == 401
    assert token not in repr(client) + str(refused.value)


def test_the_client_waits_for_an_absent_server_and_then_raises_unavailable(tmp_path, token):
    port = processes.free_port()
    address = f"http://127.0.0.1:{port}/pubsubpull/"
    with Client(address, token) as client:
        with pytest.raises(exceptions.Unavailable, match="does not answer"):
            client.service()
        found = []
        caller = threading.Thread(target=lambda: found.append(client.changes(after="now")))
        with processes.gunicorn(tmp_path, port=port):
            caller.start()
            caller.join(60)
        assert found[0].items == ()


def test_an_answer_that_is_not_json_is_refused(tmp_path, token):
    with (
        processes.gunicorn(tmp_path) as url,
        Client(f"{url}/read/", token) as client,
        pytest.raises(exceptions.RequestRefused, match="200"),
    ):
        client.service()
