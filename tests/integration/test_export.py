"""Exports of histories: CSV and NDJSON, over HTTP and from the admin, of any length."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import AsyncClient

import pubsubpull
from pubsubpull.audit.history import export
from pubsubpull.pull import consumers
from tests import factories
from tests.shop.models import Customer, Order

pytestmark = pytest.mark.django_db(transaction=True)
LOG = "/admin/pubsubpull/change/"


@pytest.fixture(autouse=True)
def _empty_log(transactional_db):
    run("TRUNCATE pubsubpull_change, pubsubpull_request, pubsubpull_erasure")


def run(statement, params=None):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)


@pytest.fixture
def get(client):
    tokens = {
        True: consumers.add("auditor", ["*"], may_audit=True, may_subscribe=False)[1],
        False: consumers.add("reader", ["*"])[1],
    }

    def call(row, *, auditor=True, accept="*/*", **query):
        url = f"/pubsubpull/models/{row._meta.label_lower}/audit/{row.pk}/"
        return client.get(url, query, headers={"Authorization": f"Bearer {tokens[auditor]}", "Accept": accept})

    return call


def lines(answer):
    assert answer.status_code == 200, answer.content
    assert answer.streaming
    return b"".join(answer.streaming_content).decode()


def table(answer):
    return list(csv.DictReader(io.StringIO(lines(answer).removeprefix("\ufeff"), newline="")))


def test_a_trail_as_csv_has_a_line_for_each_column_that_changed(get):
    with pubsubpull.context(user="ann"):
        order = Order.objects.create(reference="a", total="1.10")
        Order.objects.filter(pk=order.pk).update(reference="b", total="9999999999.20")
    answer = get(order, format="csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="shop.order-{order.pk}.csv"'
    found = table(answer)
    assert [(r["op"], r["column"], r["old"], r["new"]) for r in found[:2]] == [
        ("update", "reference", "a", "b"),
        ("update", "total", "1.10", "9999999999.20"),
    ]
    assert {(r["model"], r["key"], r["user"], r["source"]) for r in found} == {
        ("shop.order", str(order.pk), "ann", "command")
    }
    assert {r["new"] for r in found if r["column"] == "card"} == {"***"}
    assert "internal_note" not in {r["column"] for r in found}


def test_a_trail_as_ndjson_has_an_object_for_each_change_as_the_log_has_it(get):
    with pubsubpull.context(user="ann", why="a reason"):
        order = Order.objects.create(total="9999999999.10")
    Order.objects.filter(pk=order.pk).delete()
    text = lines(get(order, format="ndjson"))
    deleted, made = map(json.loads, text.splitlines())
    assert (deleted["op"], made["op"], deleted["request"]) == ("delete", "insert", None)
    assert (made["request"]["user_name"], made["request"]["metadata"]) == ("ann", {"why": "a reason"})
    assert "xid" not in made["request"]
    assert '"total":9999999999.10' in text, "a number keeps its digits"
    assert made["changed"]["status"] == [None, "new"]
    assert set(made) - {"model", "key", "old", "new"} == set(get(order).json()["items"][0])


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/csv", "text/csv; charset=utf-8"),
        ("application/x-ndjson, */*;q=0.1", "application/x-ndjson; charset=utf-8"),
        ("*/*", "application/json"),
        ("text/html", "application/json"),
    ],
)
def test_the_caller_may_name_accepted_formats(get, accept, kind):
    assert get(Customer.objects.create(name="a"), accept=accept).headers["Content-Type"] == kind


def test_an_export_takes_the_grant_and_the_filters_of_the_trail(get):
    customer = Customer.objects.create(name="a")
    with pubsubpull.context(user="ann"):
        Customer.objects.filter(pk=customer.pk).update(name="b")
    assert get(customer, auditor=False, format="csv").status_code == 403
    assert [row["new"] for row in table(get(customer, format="csv", user="ann"))] == ["b"]
    assert get(customer, format="xlsx").json()["field"] == "format"


@pytest.fixture
def get_request(client):
    """Return a function that asks for a request's changes, as a consumer that may read customers only."""
    token = consumers.add("desk", ["shop.customer"], may_audit=True)[1]

    def call(id_, **query):
        return client.get(f"/pubsubpull/requests/{id_}/", query, headers={"Authorization": f"Bearer {token}"})

    return call


def test_the_readable_changes_of_a_request_are_exported(get_request):
    with pubsubpull.context(user="ann") as at_hand:
        for name in "abc":
            Customer.objects.create(name=name)
        Order.objects.create(reference="not granted")
    Customer.objects.create(name="another's")
    answer = get_request(at_hand.id, format="csv", limit=1)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="request-{at_hand.id}.csv"'
    found = table(answer)
    assert [row["new"] for row in found if row["column"] == "name"] == ["c", "b", "a"]
    assert {row["model"] for row in found} == {"shop.customer"}
    made = list(map(json.loads, lines(get_request(at_hand.id, format="ndjson")).splitlines()))
    assert [item["new"]["name"] for item in made] == ["c", "b", "a"]
    assert {item["request"]["id"] for item in made} == {str(at_hand.id)}


def test_an_export_of_a_request_needs_an_existing_one_and_has_no_pages(get_request):
    with pubsubpull.context(user="ann") as at_hand:
        Order.objects.create(reference="not granted")
        Customer.objects.create(name="a")
    assert get_request("00000000-0000-0000-0000-000000000000", format="csv").status_code == 404
    assert get_request(at_hand.id, format="csv", after=1).json()["field"] == "after"
    assert get_request(at_hand.id, format="xlsx").json()["field"] == "format"


@pytest.mark.parametrize("text", ["=1+1", "+1-cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "  =1", "\r=1", "＝1+1"])  # noqa: RUF001
def test_no_cell_is_a_formula(get, text):
    customer = Customer.objects.create(name=text, email='"quoted", and\na line')
    cells = {row["column"]: row["new"] for row in table(get(customer, format="csv"))}
    assert cells["name"].startswith("'")
    assert cells["name"].replace("'", "") == text.replace("'", "")
    assert cells["email"] == '"quoted", and\na line'


def test_a_negative_number_is_no_formula():
    assert [export.cell(value) for value in (-1, "-1.50", None, True, {"a": [1, "="]}, "-")] == [
        "-1",
        "-1.50",
        "",
        "true",
        '{"a":[1,"="]}',
        "'-",
    ]


def test_changes_without_columns_have_a_line_too(get):
    customer = Customer.objects.create(name="a")
    run("UPDATE pubsubpull_change SET op = 'E', old = NULL, new = NULL")
    run("TRUNCATE shop_customer CASCADE")
    assert [(r["op"], r["column"]) for r in table(get(customer, format="csv"))] == [("truncate", ""), ("erase", "")]


def test_a_hundred_thousand_changes_come_page_by_page_and_take_no_more_memory_than_a_few():
    customer = Customer.objects.create(name="a")
    run(
        "INSERT INTO pubsubpull_change (model, op, key, old, new) SELECT 'shop.customer', 'U', %s, "
        "jsonb_build_object('name', n), jsonb_build_object('name', n + 1) FROM generate_series(1, 100000) n",
        [str(customer.pk)],
    )
    run("ANALYZE pubsubpull_change")
    parts = export.chunks(export.entries(customer), kind="csv")
    length = 0
    while length < 80_000:
        length += next(parts).count(b"\r\n")
    tracemalloc.start()  # storing the export would take tens of megabytes; tracing takes time
    try:
        length += sum(part.count(b"\r\n") for part in parts)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert length == 1 + 100_000 + len(("id", "name", "email"))
    assert peak < 5_000_000


def test_under_asgi_an_export_is_a_stream_too():
    customer = Customer.objects.create(name="a")
    token = consumers.add("auditor", ["*"], may_audit=True, may_subscribe=False)[1]

    async def read():
        url = f"/pubsubpull/models/shop.customer/audit/{customer.pk}/?format=ndjson"
        answer = await AsyncClient().get(url, headers={"Authorization": f"Bearer {token}"})
        assert answer.is_async
        return b"".join([part async for part in answer.streaming_content])

    assert json.loads(async_to_sync(read)())["op"] == "insert"


@pytest.fixture
def clerk(client):
    factories.log_in_staff(client, "view_change", "view_customer")
    return client


def test_the_admins_pages_link_to_exports_of_the_chosen_changes(clerk):
    customer = Customer.objects.create(name="Köln")
    with pubsubpull.context(user="ann"):
        Customer.objects.filter(pk=customer.pk).update(name="b")
    for path in (f"/admin/shop/customer/{customer.pk}/history/", LOG):
        text = clerk.get(path, {"user": "ann"}).content.decode()
        link = text.split('<a href="?')[1].split('"')[0].replace("&amp;", "&")
        answer = clerk.get(f"{path}?{link}")
        assert [row["new"] for row in table(answer)] == ["b"]
    whole = lines(clerk.get(LOG, {"format": "csv"}))
    assert whole.startswith("\ufeff")
    assert "Köln" in whole


def test_an_export_of_the_log_has_only_models_that_may_be_viewed(clerk):
    order, customer = Order.objects.create(reference="an order"), Customer.objects.create(name="a customer")
    text = lines(clerk.get(LOG, {"format": "ndjson"}))
    assert "a customer" in text
    assert "an order" not in text
    assert clerk.get(f"/admin/shop/order/{order.pk}/history/", {"format": "csv"}).status_code == 403
    assert clerk.get(f"/admin/shop/customer/{customer.pk}/history/", {"format": "csv"}).status_code == 200


def test_an_unclear_export_request_is_reported_and_not_exported(clerk):
    assert "since: it is a date" in clerk.get(LOG, {"format": "csv", "since": "soon"}).content.decode()
