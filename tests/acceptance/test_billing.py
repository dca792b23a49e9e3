"""Billing, the example of a receiver: under gunicorn, with a database of its own; the test plays the shop."""

from __future__ import annotations

import datetime
import json
import os
import secrets
from urllib.parse import urlsplit

import psycopg
import pytest
import requests
from psycopg import sql
from standardwebhooks import Webhook

from example.demo.processes import Processes
from tests import settings

pytestmark = pytest.mark.acceptance

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CUSTOMER = {"id": 1, "name": "Ada", "email": "a@example.org", "city": "Évora", "joined": "2026-01-02T03:04:05.6+00:00"}


@pytest.fixture(scope="module")
def billing(tmp_path_factory):
    """Give billing's URL and a connection to its database."""
    name = f"billing_{secrets.token_hex(4)}"
    url = urlsplit(settings.URL)._replace(path=f"/{name}").geturl()
    with psycopg.connect(settings.URL, autocommit=True) as server:
        server.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        processes = Processes(tmp_path_factory.mktemp("logs"), {**os.environ, "BILLING_DATABASE_URL": url})
        try:
            processes.run("migrate", "example.billing", "migrate", "--verbosity", "0")
            address = processes.serve("billing", "example.billing.wsgi", threads=2)
            with psycopg.connect(url, autocommit=True) as connection:
                yield address, connection
        finally:
            processes.stop()
            server.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


class Shop:
    """Sends pages to billing, as the shop would, and looks at what billing has."""

    def __init__(self, url, connection):
        self.url, self.connection = url, connection
        connection.execute("truncate billing_customer, billing_order, billing_item, billing_source, billing_page")
        connection.execute("insert into billing_source values ('shop', 'c0', %s)", [SECRET])

    def tell(self, previous, cursor, *items, secret=SECRET, body=None):
        body = body or json.dumps({"items": items, "cursor": cursor, "previous": previous, "more": False})
        now = datetime.datetime.now(tz=datetime.UTC)
        signature = Webhook(secret).sign("msg_1", now, body)
        headers = {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        }
        return requests.put(f"{self.url}/changes/", data=body.encode(), headers=headers, timeout=30)

    def rows(self):
        return self.connection.execute("select id, version, name from billing_customer order by id").fetchall()

    def cursor(self):
        return self.connection.execute("select cursor from billing_source").fetchone()[0]


@pytest.fixture
def shop(billing):
    return Shop(*billing)


def change(version, op, key="1", model="shop.customer", **values):
    new = None if op in {"delete", "truncate"} else {**CUSTOMER, "id": int(key), **values}
    return {
        "version": version,
        "model": model,
        "key": None if op == "truncate" else key,
        "op": op,
        "old": None,
        "new": new,
    }


def test_of_a_row_changed_often_in_a_page_the_last_state_is_kept(shop):
    items = [change(1, "insert"), change(3, "update", name="Ada Lovelace"), change(2, "insert", "2")]
    assert shop.tell("c0", "c1", *items).status_code == 204
    assert shop.rows() == [(1, 3, "Ada Lovelace"), (2, 2, "Ada")]
    assert shop.cursor() == "c1"


def test_orders_and_items_are_copied_with_their_types(shop):
    order = {
        "id": 5,
        "customer_id": 1,
        "reference": "R",
        "status": "new",
        "total": 12.30,
        "placed": "2026-01-02T03:04:05.678901+00:00",
        "card": "***",
        "unknown": "is left out",
    }
    item = {"id": 6, "order_id": 5, "article": "cup", "quantity": 2, "price": 6.15}
    items = [change(1, "insert", "5", "shop.order"), change(2, "insert", "6", "shop.item")]
    items[0]["new"], items[1]["new"] = order, item
    assert shop.tell("c0", "c1", *items).status_code == 204
    found = shop.connection.execute(
        "select o.total::text, o.placed::text, i.price::text from billing_order o, billing_item i"
    )
    assert found.fetchone() == ("12.30", "2026-01-02 03:04:05.678901+00", "6.15")


def test_a_page_sent_again_is_answered_with_the_cursor_and_changes_nothing(shop):
    shop.tell("c0", "c1", change(1, "insert"))
    answer = shop.tell("c0", "c1", change(1, "insert", name="again"))
    assert (answer.status_code, answer.json()) == (409, {"cursor": "c1"})
    assert shop.rows() == [(1, 1, "Ada")]
    assert shop.connection.execute("select count(*) from billing_page").fetchone() == (1,)


def test_a_page_after_one_that_was_lost_is_answered_with_the_cursor(shop):
    answer = shop.tell("c1", "c2", change(2, "insert"))
    assert (answer.status_code, answer.json()) == (409, {"cursor": "c0"})
    assert shop.rows() == []
    assert shop.cursor() == "c0"


def test_an_older_version_than_the_copy_has_changes_nothing(shop):
    shop.tell("c0", "c1", change(7, "insert"))
    shop.tell("c1", "c2", change(6, "update", name="old"))
    shop.tell("c2", "c3", change(5, "delete"))
    assert shop.rows() == [(1, 7, "Ada")]


def test_a_deleted_row_goes_and_may_come_again(shop):
    shop.tell("c0", "c1", change(1, "insert"))
    shop.tell("c1", "c2", change(2, "delete"))
    assert shop.rows() == []
    shop.tell("c2", "c3", change(3, "insert"), change(4, "delete"), change(5, "insert", name="back"))
    assert shop.rows() == [(1, 5, "back")]


def test_a_truncate_takes_what_was_there_before_it_and_leaves_what_came_after(shop):
    shop.tell("c0", "c1", change(1, "insert"), change(2, "insert", "2"))
    items = [change(3, "insert", "3"), change(4, "truncate"), change(5, "insert", "1", name="new")]
    shop.tell("c1", "c2", *items)
    assert shop.rows() == [(1, 5, "new")]


def test_a_wrong_signature_is_refused(shop):
    answer = shop.tell("c0", "c1", change(1, "insert"), secret="whsec_" + "A" * 32)
    assert answer.status_code == 401
    assert (shop.rows(), shop.cursor()) == ([], "c0")


@pytest.mark.parametrize(
    "body", ["no json", "[]", '{"items": [], "cursor": "c1"}', '{"items": [{}], "previous": "c0"}']
)
def test_what_is_no_page_is_refused(shop, body):
    assert shop.tell("c0", "c1", body=body).status_code == 400
    assert shop.cursor() == "c0"


def test_values_that_do_not_fit_are_refused_whole(shop):
    answer = shop.tell("c0", "c1", change(1, "insert"), change(2, "insert", "2", joined="no time"))
    assert answer.status_code == 400
    assert (shop.rows(), shop.cursor()) == ([], "c0")


def test_who_does_not_follow_any_more_says_so(shop):
    shop.connection.execute("delete from billing_source")
    assert shop.tell("c0", "c1").status_code == 410
