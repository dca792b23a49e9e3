"""Columns of type json hold what jsonb cannot: the application's writes go through, and nothing is lost."""

from __future__ import annotations

import json

import pytest
from django.db import connection

from pubsubpull.capture import registry, triggers
from pubsubpull.models import Change
from pubsubpull.pull import instances

ZERO = r'"\u0000"'
pytestmark = pytest.mark.django_db(transaction=True)


def execute(text, *values):
    with connection.cursor() as cursor:
        cursor.execute(text, values)


@pytest.fixture(autouse=True)
def _json_column():
    execute("ALTER TABLE shop_customer ADD COLUMN extra json")
    triggers.sync()
    execute("TRUNCATE pubsubpull_change")
    yield
    execute("ALTER TABLE shop_customer DROP COLUMN extra")
    triggers.sync()


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


def test_a_value_that_jsonb_can_hold_is_kept_as_it_is():
    execute("INSERT INTO shop_customer (name, email, extra) VALUES ('a', '', %s)", json.dumps({"a": ["x", 1]}))
    assert Change.objects.get().new["extra"] == {"a": ["x", 1]}


def test_only_a_table_with_such_a_column_is_guarded_and_row_by_row():
    plan = triggers.plan()
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
