"""Compact pages: the content of whole pages in fewer bytes."""

from __future__ import annotations

import json
import random

import pytest
from django.db import connection
from django.test import override_settings

import pubsubpull
from pubsubpull import conf
from pubsubpull.log import feed, sizes
from pubsubpull.log.cursor import Cursor
from pubsubpull.pull import consumers
from tests.shop.models import Customer, Order, Quoted, Stock

pytestmark = pytest.mark.django_db(transaction=True)
BASE = "/pubsubpull/"


@pytest.fixture
def get(client):
    token = consumers.add("all", ["*"], may_subscribe=True)[1]

    def call(path, status=200, **headers):
        answer = client.get(BASE + path, headers={"Authorization": f"Bearer {token}", **headers})
        assert answer.status_code == status, answer.content
        return answer

    return call


def now():
    return feed.present().cursor().encode()


def told(found):
    """Return the changes of a compact page by version: the model, the key, the op, and the row by name."""
    changes = {}
    for model, part in found["models"].items():
        versions = [item[0] for item in part["items"]]
        assert versions == sorted(versions)
        for version, key, op, row in part["items"]:
            named = dict(zip(part["columns"], row, strict=True)) if isinstance(row, list) else row
            changes[version] = (model, key, op, named)
    return changes


def whole(found):
    """Return the same of a whole page."""
    return {
        item["version"]: (item["model"], item["key"], item["op"], item["old" if item["op"] == "delete" else "new"])
        for item in found["items"]
    }


def everything(get, path, told):
    """Page through the changes after a cursor, five at a time."""
    after, found, more = path.rpartition("after=")[2], {}, True
    while more:
        page = get(f"{path.rpartition('after=')[0]}after={after}").json()
        after, more = page["cursor"], page["more"]
        found |= told(page)
    return found


def test_a_compact_page_has_the_same_changes_as_a_whole_page(get):
    dice, start = random.Random(3), now()
    words = ["", "ä\n\t\"'\\", '],"items":[', "100% {}", "\x01", '"}},"cursor":"x","more":false}', "\u2028"]
    for n in range(100):
        what, customers = dice.random(), list(Customer.objects.values_list("pk", flat=True))
        if what < 0.3 or not customers:
            Customer.objects.create(name=dice.choice(words), email=dice.choice(words))
        elif what < 0.5:
            Order.objects.create(reference=dice.choice(words), total="1.10", quantity=n)
        elif what < 0.7:
            Customer.objects.filter(pk__lt=dice.choice(customers)).update(name=dice.choice(words))
        elif what < 0.8:
            Stock.objects.create(warehouse=dice.choice(words), article=n)
        elif what < 0.9:
            Quoted.objects.create(value=dice.choice(words))
        else:
            Customer.objects.filter(pk=dice.choice(customers)).delete()
    with connection.cursor() as run:
        run.execute("TRUNCATE shop_stock")
    with pubsubpull.uncaptured(Stock, Quoted, reason="load"):
        Stock.objects.create(warehouse="w", article=1)
    expected = everything(get, f"changes/?limit=5&after={start}", whole)
    assert len(expected) > 60
    assert {op for _, _, op, _ in expected.values()} == {"insert", "update", "delete", "truncate", "uncaptured"}
    for limit in (1, 5, 1000):
        assert everything(get, f"changes/?compact=true&limit={limit}&after={start}", told) == expected
    text = get(f"changes/?compact=true&after={start}").content.decode()
    assert len(text.splitlines()) >= 2 + len(json.loads(text)["models"])


def test_rows_of_other_columns_come_with_their_names(get):
    """Their table changed between the one and the other; and as many columns are not the same ones."""
    start = now()
    Customer.objects.create(name="a", email="1")
    with connection.cursor() as run:
        run.execute("ALTER TABLE shop_customer RENAME email TO imail")
        try:
            run.execute("UPDATE shop_customer SET name = 'b'")
            run.execute("ALTER TABLE shop_customer ADD COLUMN further int")
            run.execute("UPDATE shop_customer SET further = 1")
        finally:
            run.execute("ALTER TABLE shop_customer DROP COLUMN IF EXISTS further")
            run.execute("ALTER TABLE shop_customer RENAME imail TO email")
    found = get(f"changes/?compact=true&models=shop.customer&after={start}").json()["models"]["shop.customer"]
    assert sorted(found["columns"]) == ["email", "id", "name"]
    assert [type(row) for _, _, _, row in found["items"]] == [list, dict, dict]
    assert found["items"][1][3]["imail"] == "1"
    assert found["items"][2][3]["further"] == 1


def test_an_empty_page_has_no_model(get):
    start = now()
    found = get(f"changes/?compact=true&after={start}").json()
    assert (found["models"], found["more"]) == ({}, False)
    assert "\n\n" not in get(f"changes/?compact=true&after={start}").content.decode()


@pytest.mark.parametrize("form", [{"compact": True}, {"old": False}, {}])
def test_a_page_that_was_not_cut_does_not_say_that_there_is_more(form):
    """Though the log has a large value, and changes of others follow."""
    Order.objects.create(reference=random.Random(1).randbytes(50_000).hex())
    sizes._none_large.clear()
    start = feed.present().cursor()
    Customer.objects.create(name="x")
    Order.objects.bulk_create(Order(reference=str(n)) for n in range(20))
    page = feed.page(start, limit=1000, models=["shop.customer"], **form)
    assert (page.count, page.more) == (1, False)


def test_a_page_of_many_changes_is_cut_by_their_text_though_each_takes_little_room():
    """A text that repeats itself is stored in a hundredth of its length, beside the others."""
    with connection.cursor() as run:
        run.execute("TRUNCATE pubsubpull_change")
    sizes._none_large.clear()
    assert not sizes.may_be_large("default")
    start = feed.present().cursor()
    Customer.objects.bulk_create(Customer(name="a" * 50_000) for _ in range(1200))
    page = feed.page(start, limit=5000, compact=True, size=1_000_000)
    assert len(page.items) < 1_200_000
    assert page.more


@pytest.mark.parametrize("form", [{"compact": True}, {"old": False}, {}])
def test_pages_that_are_cut_by_their_size_leave_nothing_out(form):
    """Their text may be much shorter than the counted size, so it does not show that a page was cut."""
    long = random.Random(2).randbytes(4500).hex()
    Order.objects.bulk_create(Order(reference=long) for _ in range(100))
    start = feed.present().cursor()
    Order.objects.update(reference="")
    sizes._none_large.clear()
    versions, cursor, more, pages = [], start, True, 0
    while more:
        page = feed.page(cursor, limit=1000, size=9000, **form)
        cursor, more, pages = Cursor.decode(page.cursor.encode()), page.more, pages + 1
        if not form.get("compact"):
            versions += [item["version"] for item in json.loads(f"[{page.items.decode()}]")]
            continue
        for line in filter(None, page.items.decode().split("\n")):
            part = json.loads("{" + line.removesuffix(",") + "}")
            versions += [item[0] for found in part.values() for item in found["items"]]
    assert pages > 50
    assert len(versions) == len(set(versions)) == 100


def test_a_compact_page_is_cached_apart_from_a_whole_one(get):
    start = now()
    for n in range(4):
        Customer.objects.create(name=str(n))
    within = get(f"changes/?limit=1&after={start}").json()["cursor"]
    tags = {
        get(f"changes/?limit=1&after={within}{form}").headers["ETag"] for form in ("", "&old=false", "&compact=true")
    }
    assert len(tags) == 3
    again = f"changes/?limit=1&after={within}&compact=true"
    assert get(again, **{"If-None-Match": get(again).headers["ETag"]}, status=304).content == b""


def test_a_service_that_allows_fewer_items_gives_so_many_where_a_call_does_not_say(get):
    start = now()
    for n in range(16):
        Customer.objects.create(name=str(n))
    with override_settings(PUBSUBPULL={**conf.given(), "PAGE_LIMIT": 3}):
        assert len(get(f"changes/?after={start}").json()["items"]) == 3
        assert len(get("models/shop.customer/instances/").json()["items"]) == 3
        assert get("changes/?limit=4", status=400).json()["field"] == "limit"
        found = get(f"changes/?compact=true&after={start}").json()
        assert len(found["models"]["shop.customer"]["items"]) == 15
        assert get("changes/?compact=true&limit=16", status=400).json()["field"] == "limit"
