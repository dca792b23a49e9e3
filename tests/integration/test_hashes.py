"""The hashes that a source answers with: they cover the values that readers get, and no others."""

from __future__ import annotations

import json

import pytest

from pubsubpull.log import feed
from pubsubpull.pull import consumers
from tests.shop.models import Customer, Order, Quoted, Stock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def get(client):
    token = consumers.add("all", ["*"])[1]

    def call(path, status=200, token=token, **params):
        answer = client.get(f"/pubsubpull/models/{path}", params, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status, answer.content
        return answer.json()

    return call


def only(answer):
    (one,) = answer["ranges"]
    return one


def test_ranges_are_counted_and_hashed_and_adjoin(get):
    rows = Customer.objects.bulk_create(Customer(name=f"{n}") for n in range(10))
    third, seventh = str(rows[2].pk), str(rows[6].pk)
    found = get("shop.customer/hashes/", bounds=json.dumps([None, third, seventh, None]))["ranges"]
    assert [one["count"] for one in found] == [3, 4, 3]
    whole = only(get("shop.customer/hashes/"))
    assert int(whole["hash"], 16) == int(found[0]["hash"], 16) ^ int(found[1]["hash"], 16) ^ int(found[2]["hash"], 16)
    Customer.objects.filter(pk=third).update(email="other")
    assert only(get("shop.customer/hashes/"))["hash"] != whole["hash"]
    assert only(get("shop.customer/hashes/", columns="id,name"))["hash"] != whole["hash"]


def test_the_hashes_of_rows_are_paged_by_key(get):
    rows = Customer.objects.bulk_create(Customer(name=f"{n}") for n in range(5))
    first = get("shop.customer/hashes/rows/", limit=2)["items"]
    rest = get("shop.customer/hashes/rows/", after=first[-1]["key"], until=str(rows[3].pk))["items"]
    assert [item["key"] for item in first + rest] == [str(row.pk) for row in rows[:4]]
    assert len({item["hash"] for item in first + rest}) == 4


def test_an_excluded_column_takes_no_part_and_cannot_be_asked_for(get):
    """A hash over a column of few values would tell the value."""
    Order.objects.create(reference="a", internal_note="x")
    before = only(get("shop.order/hashes/"))
    Order.objects.update(internal_note="y")
    assert only(get("shop.order/hashes/")) == before
    refused = get("shop.order/hashes/", 400, columns="id,internal_note")
    unknown = get("shop.order/hashes/", 400, columns="id,nothing")
    assert refused["detail"].replace("internal_note", "nothing") == unknown["detail"]
    get("shop.order/hashes/", 400, where='{"internal_note": ["y"]}')
    assert "internal_note" not in get("shop.order/hashes/")["columns"]


def test_a_masked_column_is_its_constant_also_in_a_condition(get):
    Order.objects.create(reference="a", card="4711")
    before = only(get("shop.order/hashes/", columns="id,card"))
    Order.objects.update(card="4712")
    assert only(get("shop.order/hashes/", columns="id,card")) == before
    assert only(get("shop.order/hashes/", where='{"card": ["4712"]}'))["count"] == 0
    assert only(get("shop.order/hashes/", where='{"card": ["***"]}'))["count"] == 1


def test_a_condition_picks_rows_by_their_values_on_the_wire(get):
    Order.objects.bulk_create(Order(reference="a", quantity=n % 3) for n in range(9))
    assert only(get("shop.order/hashes/", where='{"quantity": [1, 2], "placed": [null]}'))["count"] == 6
    assert only(get("shop.order/hashes/", where='{"quantity": [1, 2], "status": ["paid"]}'))["count"] == 0
    for wrong in ("x", "[]", '{"quantity": 1}', '{"nothing": [1]}', "[" * 5000):
        get("shop.order/hashes/", 400, where=wrong)


def test_quoted_names_and_texts_are_only_names_and_texts(get):
    Quoted.objects.create(value='it\'s \\ "x"')
    assert only(get("shop.quoted/hashes/", where=json.dumps({"it's The Value": ['it\'s \\ "x"']})))["count"] == 1
    Stock.objects.create(warehouse="'); DROP TABLE x; --", article=1)
    key = json.dumps(["'); DROP TABLE x; --", 1])
    assert get("shop.stock/hashes/", bounds=json.dumps([key, None]))["ranges"][0]["count"] == 0
    assert get("shop.stock/rows/", wanted=json.dumps([key, json.dumps(["y", 2])]))["items"][0]["key"] == key


def test_keys_to_split_at_are_in_the_order_of_hashes(get):
    """Byte by byte, under any collation of the database: a and B would be the other way round in English."""
    Stock.objects.bulk_create(Stock(warehouse=name * 20, article=n) for n in range(30) for name in "aBcD")
    keys = [json.loads(key) for key in get("shop.stock/bounds/", each=10)["keys"]]
    assert len(keys) >= 2
    assert keys == sorted(keys)
    found = get("shop.stock/hashes/", bounds=json.dumps([None, *map(json.dumps, keys), None]))["ranges"]
    assert sum(one["count"] for one in found) == 120
    get("shop.stock/bounds/", 400, each=0)


def test_an_unknown_key_column_or_bound_is_named(get):
    for bounds in ("1", "[]", "[null]", "[1, 2]", '[null, null, "3"]', "x", json.dumps([None] + ["1"] * 200)):
        assert get("shop.customer/hashes/", 400, bounds=bounds)["field"] == "bounds"
    assert get("shop.customer/hashes/", 400, bounds='["x", null]')["field"] == "bounds"
    assert get("shop.customer/hashes/rows/", 400, after="x")["field"] == "after"
    assert get("shop.customer/hashes/rows/", 400, limit=0)["field"] == "limit"
    for wanted in ("x", "{}", "[1]"):
        assert get("shop.customer/rows/", 400, wanted=wanted)["field"] == "wanted"
    assert get("shop.customer/rows/", 400, wanted='["x"]')["field"] == "wanted"
    assert get("shop.customer/rows/", 400, wanted="[]", seen="x")["field"] == "seen"
    assert get("shop.customer/rows/", wanted="[]", seen=feed.present().cursor().encode())["items"] == []


@pytest.mark.parametrize("path", ["bounds/", "hashes/", "hashes/rows/", "rows/"])
def test_only_a_consumer_granted_a_model_gets_its_hashes(get, path, client):
    other = consumers.add("customers", ["shop.customer"])[1]
    params = {"wanted": "[]"} if path == "rows/" else {}
    get(f"shop.customer/{path}", token=other, **params)
    get(f"shop.order/{path}", 404, token=other, **params)
    assert client.get(f"/pubsubpull/models/shop.order/{path}").status_code == 401


def test_rows_come_from_the_highest_key_down_where_that_is_asked_for(get):
    Stock.objects.bulk_create(Stock(warehouse=name, article=n) for name in "ab" for n in range(3))
    first = get("shop.stock/instances/", newest="true", limit=4)
    rest = get("shop.stock/instances/", newest="true", after=first["items"][-1]["key"])
    assert "newest=true" in first["next"]
    keys = [item["key"] for item in first["items"] + rest["items"]]
    assert keys == [json.dumps([name, n]) for name in "ba" for n in (2, 1, 0)]
