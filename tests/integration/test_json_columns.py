"""Columns of type json hold values that jsonb cannot: the application's writes go through, and nothing is lost."""

from __future__ import annotations

import dataclasses
import json

import pytest
from django.db import connection

from pubsubpull.capture import planning, registry, syncing
from pubsubpull.models import Change
from pubsubpull.pull import hashes, instances

ZERO = r'"\u0000"'
pytestmark = pytest.mark.django_db(transaction=True)


def execute(text, *values):
    with connection.cursor() as cursor:
        cursor.execute(text, values)


@pytest.fixture(autouse=True)
def _json_column():
    execute("ALTER TABLE shop_customer ADD COLUMN extra json")
    syncing.sync()
    execute("TRUNCATE pubsubpull_change")
    yield
    execute("ALTER TABLE shop_customer DROP COLUMN extra")
    syncing.sync()


@pytest.mark.parametrize(
    "text", [r'{"a": "x\u0000y"}', r'["\ud800"]', "1e400000"], ids=["a zero byte", "half a pair", "a huge number"]
)
def test_a_value_that_jsonb_cannot_hold_is_kept_as_its_text_and_the_write_goes_through(text):
    execute("INSERT INTO shop_customer (name, email, extra) VALUES ('a', '', %s)", text)
    execute("UPDATE shop_customer SET name = 'b'")
    execute("DELETE FROM shop_customer")
    insert, update, delete = Change.objects.all()
    assert (insert.new["name"], insert.new["extra"]) == ("a", {"pubsubpull:json": text})
    assert (update.old["name"], update.new["name"], update.new["extra"]) == ("a", "b", {"pubsubpull:json": text})
    assert delete.old == update.new
    assert [insert.key, update.key, delete.key] == [str(insert.new["id"])] * 3


def test_an_instance_shows_such_a_value_as_the_log_does():
    execute("INSERT INTO shop_customer (name, email, extra) VALUES ('a', '', %s), ('b', '', '[1]')", ZERO)
    page = instances.page(registry.get("shop.customer"), after=None, limit=10, using="default")
    assert [item["data"]["extra"] for item in json.loads(f"[{page.items}]")] == [{"pubsubpull:json": ZERO}, [1]]


def test_the_hash_of_such_a_row_is_that_of_the_row_as_a_replica_keeps_it():
    values = [ZERO, "1e400000", '{"b":  [1.50], "a": null}', "null", None]
    for value in values:
        execute("INSERT INTO shop_customer (name, email, extra) VALUES ('a', '', %s)", value)
    page = instances.page(registry.get("shop.customer"), after=None, limit=10, using="default")
    execute("CREATE TEMP TABLE kept (id bigint, extra jsonb); CREATE TEMP TABLE as_json (id bigint, extra json)")
    for item in json.loads(f"[{page.items}]", parse_float=str):
        extra = json.dumps(item["data"]["extra"])
        execute("INSERT INTO kept VALUES (%s, %s)", item["key"], extra.replace('"1.50"', "1.50"))
    execute("INSERT INTO as_json SELECT id, extra::text::json FROM kept")
    source = hashes.of(registry.get("shop.customer"), ["id", "extra"], using="default")
    of = [source, *(dataclasses.replace(source, relation=name) for name in ("kept", "as_json"))]
    there, *here = [table.rows(None, None, using="default") for table in of]
    assert len(there) == len(values)
    assert [there, there] == here
    assert len({table.ranges([(None, None)], using="default")[0] for table in of}) == 1
    wanted = json.dumps({"extra": [{"pubsubpull:json": ZERO}, {"a": None, "b": [1.5]}]})
    assert len(source.rows(None, None, where=wanted, using="default")) == 2


def test_a_value_that_jsonb_can_hold_is_kept_as_it_is():
    execute("INSERT INTO shop_customer (name, email, extra) VALUES ('a', '', %s)", json.dumps({"a": ["x", 1]}))
    assert Change.objects.get().new["extra"] == {"a": ["x", 1]}


def test_only_a_table_with_such_a_column_is_guarded_and_row_by_row():
    plan = planning.plan()
    assert plan.actions == ()
    kinds = {}
    for trigger in plan.wanted:
        kinds.setdefault(trigger.table, {})[trigger.name] = trigger.statement.as_string()
    assert '{"extra"}' in kinds["shop_customer"]["00_pubsubpull_row"]
    assert not any("extra" in text for text in kinds["shop_order"].values())


def test_another_function_that_fits_a_rows_type_better_is_not_called_with_the_owners_rights():
    execute(
        "CREATE FUNCTION pubsubpull_guarded(shop_customer, oid, text[]) RETURNS jsonb LANGUAGE plpgsql AS "
        "$f$ BEGIN RAISE 'taken over'; END $f$"
    )
    try:
        execute("INSERT INTO shop_customer (name, email, extra) VALUES ('a', '', '[1]')")
    finally:
        execute("DROP FUNCTION pubsubpull_guarded(shop_customer, oid, text[])")
    assert Change.objects.get().new["extra"] == [1]
