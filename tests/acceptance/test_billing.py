"""Billing, the example of a service that has replicas: beside the shop, each with a database of its own."""

from __future__ import annotations

import os
import re
import secrets
from urllib.parse import urlsplit

import psycopg
import pytest
import requests
from psycopg import sql

from example.demo.processes import Processes
from tests import settings

pytestmark = pytest.mark.acceptance


@pytest.fixture
def services(tmp_path):
    """Yield the processes of the services, and a connection to each service's database by its name."""
    mark = secrets.token_hex(4)
    with psycopg.connect(settings.URL, autocommit=True) as server:
        urls = {}
        for name in ("shop", "billing"):
            server.execute(sql.SQL("create database {}").format(sql.Identifier(f"{name}_{mark}")))
            urls[name] = urlsplit(settings.URL)._replace(path=f"/{name}_{mark}").geturl()
        given = {f"{name.upper()}_DATABASE_URL": url for name, url in urls.items()}
        processes = Processes(tmp_path, {**os.environ, **given})
        try:
            migrate = ("migrate", "--verbosity", "0")
            processes.run_all({name: [f"example.{name}", *migrate] for name in urls})
            with psycopg.connect(urls["shop"], autocommit=True) as shop, psycopg.connect(urls["billing"]) as billing:
                billing.autocommit = True
                yield processes, shop, billing
        finally:
            processes.stop()
            for name in urls:
                server.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(f"{name}_{mark}")))


def known(processes):
    """Let billing know the shop."""
    url = processes.serve("shop", "example.shop.wsgi", threads=2)
    consumer = ("pubsubpull_consumer", "add", "billing", "--models", "shop.customer,shop.order,shop.item")
    token = re.search(r"psp_[\w-]+", processes.run("consumer", "example.shop", *consumer))[0]
    processes.environment |= {"SHOP_URL": f"{url}/pubsubpull/", "SHOP_TOKEN": token}


def follow(processes):
    assert "Up to date" in processes.run("follow", "example.billing", "pubsubpull_follow", "--once")


def test_it_has_the_shops_rows_and_then_their_changes_and_notes_each_change_once(services):
    processes, shop, billing = services
    assert "WARNINGS" not in processes.log("billing").read_text(), "it publishes nothing, and needs no middleware"
    known(processes)
    processes.run("import", "example.shop", "import_customers", "30")
    follow(processes)
    shop.execute("insert into shop_order (customer_id, reference, card) select id, 'R', '4111' from shop_customer")
    shop.execute("insert into shop_item (order_id, article, quantity, price) select id, 'cup', 2, 6.15 from shop_order")
    shop.execute("update shop_order set status = 'paid', total = 12.30 where id % 2 = 0")
    shop.execute("delete from shop_item where order_id % 3 = 0")
    follow(processes)
    rows = "select o.id, c.name, o.status, o.total from {0}_order o join {0}_customer c on c.id = customer_id"
    there = sorted(shop.execute(rows.format("shop")))
    assert sorted(billing.execute(rows.format("billing"))) == there
    assert len(there) == 30
    assert billing.execute("select distinct card from billing_order").fetchall() == [("***",)]
    assert (
        billing.execute("select count(*), sum(price) from billing_item").fetchone()
        == shop.execute("select count(*), sum(price) from shop_item").fetchone()
    )
    came = [version for (version,) in billing.execute("select unnest(versions) from billing_arrival order by 1")]
    changes = "select id from pubsubpull_change where id > 30 order by 1"  # the first 30 were there as rows
    assert came == [version for (version,) in shop.execute(changes)]
    url = processes.serve("billing", "example.billing.wsgi", threads=2)
    assert requests.get(f"{url}/rows/", timeout=30).json()["rows"] == {"customer": 30, "order": 30, "item": 20}
    assert requests.put(f"{url}/receive/shop/", data=b"{}", timeout=30).status_code == 401
