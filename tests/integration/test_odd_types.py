"""Values of odd types: the application's write goes through, and captured values can be read and restored."""

from __future__ import annotations

import pytest
from django.contrib.postgres.fields import HStoreField
from django.db import connection, models

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.capture import registry, syncing
from pubsubpull.models import Change
from pubsubpull.pull import instances

pytestmark = pytest.mark.django_db

ZERO = r'{"a": "x\u0000y"}'


def run(query, *values):
    with connection.cursor() as cursor:
        cursor.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def publish():
    """Publish a table that a test makes, and forget it; the database is rolled back."""
    from django.apps.registry import Apps

    before, apps = dict(registry._publications), Apps(["tests.shop"])

    def published(**fields):
        meta = type("Meta", (), {"app_label": "shop", "managed": False, "db_table": "odd", "apps": apps})
        given = {"id": models.BigAutoField(primary_key=True), **fields}
        model = type("Odd", (models.Model,), {"__module__": __name__, "Meta": meta, **given})
        pubsubpull.publish(model)
        syncing.sync()
        return model

    yield published
    registry._publications.clear()
    registry._publications.update(before)


HOLDERS = {
    "a composite": ("has_json", f"ROW(1, '{ZERO}')::has_json"),
    "an array of composites": ("has_json[]", f"ARRAY[ROW(1, '{ZERO}')::has_json]"),
    "a composite within a composite": ("outer_", f"ROW(ROW(1, '{ZERO}')::has_json)::outer_"),
    "a domain over a domain": ("again", f"'{ZERO}'::again"),
    "an array of domains": ("own[]", f"ARRAY['{ZERO}'::own]"),
    "a domain over an array": ("listed", f"ARRAY['{ZERO}'::json]::listed"),
    "a domain over a composite": ("boxed", f"ROW(1, '{ZERO}')::has_json::boxed"),
    "the row of a table": ("holder", f"ROW(1, '{ZERO}')::holder"),
}


@pytest.mark.parametrize(("kind", "value"), HOLDERS.values(), ids=HOLDERS)
def test_nested_json_may_hold_values_that_jsonb_cannot(publish, kind, value):
    run("CREATE TYPE has_json AS (n int, j json); CREATE TYPE outer_ AS (inner_ has_json)")
    run("CREATE DOMAIN own AS json; CREATE DOMAIN again AS own; CREATE DOMAIN listed AS json[]")
    run("CREATE DOMAIN boxed AS has_json; CREATE TABLE holder (n int, j json)")
    run(f"CREATE TABLE odd (id bigserial PRIMARY KEY, c {kind}, d has_json)")
    publish(c=models.TextField(null=True), d=models.TextField(null=True))
    run(f"INSERT INTO odd (c, d) VALUES ({value}, ROW(1, '[1]'))")
    run("UPDATE odd SET c = NULL")
    insert, update = Change.objects.filter(model="shop.odd")
    assert set(insert.new["c"]) == {"pubsubpull:json"}
    assert "u0000y" in insert.new["c"]["pubsubpull:json"]
    assert insert.new["d"] == {"n": 1, "j": [1]}
    assert (update.old, update.new["c"]) == (insert.new, None)
    run(f"UPDATE odd SET c = {value}")
    assert "pubsubpull:json" in instances.page(registry.get("shop.odd"), after=None, limit=1, using="default").items
    with pytest.raises(exceptions.RestoreError, match="c of shop.odd held a json value that jsonb refuses"):
        pubsubpull.restore("shop.odd", insert.key, insert.id)


def test_a_column_of_json_that_is_renamed_or_added_may_hold_it_too(publish):
    run("CREATE TABLE odd (id bigserial PRIMARY KEY, c json, d json)")
    publish(c=models.TextField(null=True), d=models.TextField(null=True))
    run("ALTER TABLE odd RENAME COLUMN c TO e; ALTER TABLE odd DROP COLUMN d; ALTER TABLE odd ADD COLUMN f json")
    run(f"INSERT INTO odd (e, f) VALUES ('{ZERO}', '{ZERO}')")
    run("UPDATE odd SET e = NULL")
    run("DELETE FROM odd")
    insert, update, delete = Change.objects.filter(model="shop.odd")
    assert insert.new == {"id": 1, "e": {"pubsubpull:json": ZERO}, "f": {"pubsubpull:json": ZERO}}
    assert update.new == delete.old == {**insert.new, "e": None}


def test_a_partition_that_is_emptied_may_have_held_it(publish):
    run("CREATE TABLE odd (id bigint PRIMARY KEY, c json) PARTITION BY RANGE (id)")
    run("CREATE TABLE odd_1 PARTITION OF odd FOR VALUES FROM (1) TO (10)")
    publish(c=models.TextField(null=True))
    run(f"INSERT INTO odd VALUES (1, '{ZERO}'), (2, '[1]')")
    run("TRUNCATE odd_1")
    deleted = {change.key: change.old for change in Change.objects.filter(model="shop.odd", op="D")}
    assert deleted == {"1": {"id": 1, "c": {"pubsubpull:json": ZERO}}, "2": {"id": 2, "c": [1]}}


@pytest.mark.parametrize("how", ["ALWAYS", "BY DEFAULT"])
def test_a_deleted_row_of_an_identity_is_restored_with_its_key(publish, how):
    run(f"CREATE TABLE odd (id bigint GENERATED {how} AS IDENTITY PRIMARY KEY, text text)")
    publish(text=models.TextField(null=True))
    run("INSERT INTO odd (text) VALUES ('a'), ('b')")
    run("UPDATE odd SET text = 'c'")
    first = Change.objects.filter(model="shop.odd").first()
    pubsubpull.restore("shop.odd", first.key, first.id)
    run("DELETE FROM odd")
    pubsubpull.restore("shop.odd", first.key, first.id)
    assert run("SELECT id, text FROM odd") == [(int(first.key), "a")]


def test_columns_that_postgresql_makes_are_left_to_it(publish):
    run(
        "CREATE TABLE odd (id bigserial PRIMARY KEY, text text, n bigint GENERATED ALWAYS AS IDENTITY, "
        "size int GENERATED ALWAYS AS (length(text)) STORED)"
    )
    publish(text=models.TextField(null=True), n=models.IntegerField(), size=models.IntegerField())
    run("INSERT INTO odd (text) VALUES ('abc')")
    first = Change.objects.get(model="shop.odd")
    run("UPDATE odd SET text = 'a'")
    pubsubpull.restore("shop.odd", first.key, first.id)
    assert run("SELECT text, size, n FROM odd") == [("abc", 3, 1)]
    run("DELETE FROM odd")
    pubsubpull.restore("shop.odd", first.key, first.id)
    assert run("SELECT text, size, n FROM odd") == [("abc", 3, 1)]


def test_a_value_postgresql_refuses_is_a_restore_error(publish):
    run("CREATE TABLE odd (id bigserial PRIMARY KEY, text text, gone text)")
    model = publish(text=models.TextField(null=True), gone=models.TextField(null=True))
    run("INSERT INTO odd (text) VALUES ('a')")
    first = Change.objects.get(model="shop.odd")
    run("ALTER TABLE odd DROP gone")
    with pytest.raises(exceptions.RestoreError, match='column "gone" .*does not exist'):
        pubsubpull.restore(model, first.key, first.id)
    run("ALTER TABLE odd ADD gone text")
    run("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no' USING ERRCODE = 'XX001'; END $$")
    run("CREATE TRIGGER no BEFORE UPDATE ON odd FOR EACH ROW EXECUTE FUNCTION no()")
    with pytest.raises(exceptions.RestoreError, match=r"shop\.odd .* cannot be restored: no\."):
        pubsubpull.restore(model, first.key, first.id)


HSTORES = ["", '"a"=>"1"', r'"q\"u\\o=>te"=>"x, \"y\" \\z", "n"=>NULL, ""=>""', '"ü"=>"{\\"j\\": 1}"']


@pytest.mark.parametrize("schema", ["public", "Own place"])
def test_hstore_is_restored(publish, schema):
    run(f'CREATE SCHEMA IF NOT EXISTS "{schema}"; CREATE EXTENSION hstore SCHEMA "{schema}"')
    kind = f'"{schema}".hstore'
    run(f"CREATE DOMAIN labels AS {kind}; CREATE TYPE bag AS (n int, h {kind}, own labels, many {kind}[])")
    run(f"CREATE TABLE odd (id bigserial PRIMARY KEY, h {kind}, many {kind}[], bags bag[])")
    model = publish(h=HStoreField(null=True), many=models.TextField(null=True), bags=models.TextField(null=True))
    for text in HSTORES:
        run(
            f"INSERT INTO odd (h, many, bags) VALUES (%s::{kind}, ARRAY[%s, NULL]::{kind}[],"
            f" ARRAY[ROW(1, %s, %s, ARRAY[%s]::{kind}[])]::bag[])",
            *[text] * 5,
        )
    rows = run("SELECT id, h::text, many::text, bags::text FROM odd ORDER BY id")
    changes = list(Change.objects.filter(model="shop.odd"))
    run("DELETE FROM odd")
    for change in changes:
        pubsubpull.restore(model, change.key, change.id)
    assert run("SELECT id, h::text, many::text, bags::text FROM odd ORDER BY id") == rows
