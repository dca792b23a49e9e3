"""Excluded and masked values never reach the log after any change of the table, by a migration or by hand."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError
from django.db import connection

import pubsubpull
from pubsubpull.audit.integrity import baseline
from pubsubpull.capture import registry, syncing
from pubsubpull.log import migrating, resend
from pubsubpull.models import Change
from pubsubpull.pull import hashes, instances
from tests.sessions import session
from tests.shop.models import Customer, Event, Order, Stock

pytestmark = pytest.mark.django_db

SECRET = "never to be seen"
HIDDEN = {"exclude": ["internal_note"], "mask": ["card"]}
LEVELS = ["statement", "row"]


@pytest.fixture(autouse=True)
def _as_it_was(request):
    """Restore the registry after a test that alters tables; the database is rolled back."""
    before = dict(registry._publications)
    run("SET CONSTRAINTS ALL IMMEDIATE")
    yield
    registry._publications.clear()
    registry._publications.update(before)


def run(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def publish(model, level="auto", **hidden):
    pubsubpull.publish(model, level=level, **hidden)
    syncing.sync()


def alter(*steps, table="shop_order"):
    for step in steps:
        run(f"ALTER TABLE {table} {step}")


def write(*columns, table="shop_order", key="id"):
    """Write the secret into columns, in each way that there is; return the images that the log has of that."""
    run("TRUNCATE pubsubpull_change")
    fixed = [
        row[0]
        for row in run(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
            "AND attnotnull AND NOT atthasdef AND attidentity = '' AND attname <> ALL (%s)",
            table,
            list(columns),
        )
    ]
    values = {"quantity": "1", "total": "1", "region": "'north'", "number": "nextval('shop_customer_id_seq')"}
    given = [*(f"'{SECRET} ' || n" for _ in columns), *(values.get(name, "''") for name in fixed)]
    names = ", ".join([*columns, *fixed])
    for rows in (1, 3):
        run(f"INSERT INTO {table} ({names}) SELECT {', '.join(given)} FROM generate_series(1, {rows}) AS n")
    set_ = ", ".join(f"{name} = {name} || '!'" for name in columns)
    run(f"UPDATE {table} SET {set_} WHERE {key} = (SELECT max({key}) FROM {table})")
    run(f"UPDATE {table} SET {set_}")
    run(f"DELETE FROM {table} WHERE {key} = (SELECT max({key}) FROM {table})")
    run(f"DELETE FROM {table}")
    return [image for change in Change.objects.all() for image in (change.old, change.new) if image]


ALTERED = {
    "an excluded one renamed": (["RENAME internal_note TO remark"], ["remark"]),
    "a masked one renamed": (["RENAME card TO pan"], ["pan"]),
    "both renamed": (["RENAME internal_note TO remark", "RENAME card TO pan"], ["remark", "pan"]),
    "renamed to what may be shown": (["RENAME reference TO old", "RENAME internal_note TO reference"], ["reference"]),
    "two that changed names": (
        ["RENAME reference TO x", "RENAME internal_note TO reference", "RENAME x TO internal_note"],
        ["reference"],
    ),
    "dropped and added again": (["DROP internal_note", "ADD internal_note text DEFAULT ''"], ["internal_note"]),
    "moved to one of another name": (["ADD remark text", "DROP internal_note"], ["remark"]),
    "of another type": (
        ["ALTER internal_note TYPE varchar(100)", "ALTER card TYPE varchar(99)"],
        ["internal_note", "card"],
    ),
    "one more": (["ADD remark text"], ["remark", "internal_note", "card"]),
    "renamed after another was dropped": (["DROP status", "RENAME internal_note TO status"], ["status"]),
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("steps", "columns"), ALTERED.values(), ids=ALTERED)
def test_hidden_columns_stay_hidden_after_renames_drops_and_additions(level, steps, columns):
    publish(Order, level, **HIDDEN)
    alter(*steps)
    images = write(*columns)
    assert len(images) >= 4 + 4
    assert not any(SECRET in str(image) for image in images)
    assert all(image["quantity"] == 1 for image in images)


@pytest.mark.parametrize("level", LEVELS)
def test_the_columns_that_may_be_shown_are_until_the_next_sync_and_after_it(level):
    publish(Order, level, **HIDDEN)
    alter("RENAME internal_note TO remark", "DROP placed")
    before = write("status")
    pubsubpull.publish(Order, level=level, **HIDDEN)
    assert {frozenset(image) for image in before} == {
        frozenset({"id", "customer_id", "reference", "quantity", "total", "status", "card"})
    }
    assert all(SECRET in image["status"] and image["card"] == "***" for image in before)


@pytest.mark.parametrize("level", LEVELS)
def test_a_table_that_a_dump_brought_back_hides_by_name_and_shows_all_else(level):
    publish(Order, level, **HIDDEN)
    alter("DROP reference", "DROP status")
    syncing.sync()
    made = run(
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'shop_order'::regclass AND NOT tgisinternal"
    )
    run("CREATE TABLE restored (LIKE shop_order INCLUDING ALL)")
    run("DROP TABLE shop_order CASCADE")
    run("ALTER TABLE restored RENAME TO shop_order")
    for (statement,) in made:
        run(statement)
    images = write("internal_note", "card")
    assert images
    assert {frozenset(image) for image in images} == {
        frozenset({"id", "customer_id", "quantity", "total", "placed", "card"})
    }
    assert not any(SECRET in str(image) for image in images)
    alter("RENAME internal_note TO remark")
    assert not any(SECRET in str(image) for image in write("remark", "card"))


def test_partitions_whose_columns_have_other_numbers_hide_the_same():
    run("CREATE TABLE shop_event_odd (x int, text text NOT NULL, y int, number int NOT NULL, region text NOT NULL)")
    alter("DROP x", "DROP y", table="shop_event_odd")
    alter("ATTACH PARTITION shop_event_odd FOR VALUES IN ('odd')", table="shop_event")
    publish(Event, exclude=["text"])
    for name in ("text", "remark"):
        run("INSERT INTO shop_event (region, number, text) VALUES ('odd', 1, %s), ('north', 1, %s)", SECRET, SECRET)
        run("INSERT INTO shop_event_odd (region, number, text) VALUES ('odd', 2, %s)", SECRET)
        run("TRUNCATE shop_event_odd")
        run("DELETE FROM shop_event")
        if name == "text":
            alter("RENAME text TO remark", "ADD text text DEFAULT ''", table="shop_event")
            run("ALTER TABLE shop_event RENAME text TO gone")
            run("ALTER TABLE shop_event RENAME remark TO text")
    images = [
        image for change in Change.objects.filter(model="shop.event") for image in (change.old, change.new) if image
    ]
    assert [set(image) for image in images] == [{"region", "number"}] * len(images)
    assert len(images) == 2 * 6


@pytest.mark.parametrize("level", LEVELS)
def test_migrate_hides_newly_excluded_columns_before_data_migrations_write(level):
    publish(Customer, level)
    pubsubpull.publish(Customer, level=level, exclude=["email"])
    migrating.before(using="default", plan=[(None, False)])
    alter("RENAME email TO tmp", "ADD email text DEFAULT ''", table="shop_customer")
    images = write("tmp", "email", "name", table="shop_customer")
    assert all(set(image) == {"id", "name"} for image in images)
    migrating.after(using="default")
    assert all(set(image) == {"id", "name"} for image in write("email", "name", table="shop_customer"))


@pytest.mark.parametrize("level", LEVELS)
def test_a_migrate_shows_a_column_that_it_adds_as_soon_as_it_is_there(level):
    alter("DROP status")
    publish(Order, level, **HIDDEN)
    migrating.before(using="default", plan=[(None, False)])
    alter("ADD status text NOT NULL DEFAULT ''")
    images = write("status", "card")
    assert images
    assert all(SECRET in image["status"] and image["card"] == "***" for image in images)


def test_a_column_no_longer_hidden_is_shown_only_after_the_migrations():
    publish(Order, **HIDDEN)
    pubsubpull.publish(Order)
    migrating.before(using="default", plan=[(None, False)])
    assert not any(SECRET in str(image) for image in write("internal_note", "card"))
    migrating.after(using="default")
    assert all(SECRET in image["internal_note"] for image in write("internal_note", "card"))


@pytest.mark.django_db(transaction=True)
def test_nothing_is_migrated_while_a_column_cannot_be_hidden(settings):
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "LOCK_WAIT": 0.2}
    pubsubpull.publish(Customer, exclude=["email"])
    with (
        session() as other,
        pytest.raises(CommandError, match=r"Columns of public\.shop_customer that are excluded or masked"),
    ):
        other.execute("BEGIN; LOCK TABLE shop_customer IN ROW EXCLUSIVE MODE")
        migrating.before(using="default", plan=[(None, False)])


def test_readers_of_rows_get_no_column_that_the_code_does_not_know_where_any_is_hidden():
    publish(Order, **HIDDEN)
    Order.objects.create(internal_note=SECRET)
    run("TRUNCATE pubsubpull_change")
    alter("RENAME internal_note TO remark")
    publication = registry.get("shop.order")
    page = instances.page(publication, after=None, limit=10, using="default")
    (item,) = json.loads(f"[{page.items}]")
    assert instances.one(publication, item["key"], using="default") == page.items
    assert hashes.rows(publication, [item["key"]], using="default") == page.items
    assert set(item["data"]) == set(hashes.of(publication, None, using="default").columns)
    resend.write(publication, Order.objects.only("pk"), using="default")
    syncing.sync()
    list(baseline.baseline("shop.order", using="default", since=baseline.last_version("default")))
    images = [item["data"], *(change.new for change in Change.objects.all())]
    assert [set(image) for image in images] == [set(item["data"])] * 3
    assert "remark" not in item["data"]


KEYS = {"plain": {}, "hiding": {"exclude": ["email"]}}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("hidden", KEYS.values(), ids=KEYS)
def test_a_renamed_key_goes_on_being_the_key(level, hidden):
    publish(Customer, level, **hidden)
    alter("RENAME id TO uid", table="shop_customer")
    write("name", table="shop_customer", key="uid")
    changes = list(Change.objects.filter(model="shop.customer"))
    assert [change.op for change in changes] == list("IIIIUUUUUDDDD")
    assert all(change.key == str((change.new or change.old)["uid"]) for change in changes)


@pytest.mark.parametrize("level", LEVELS)
def test_a_renamed_part_of_a_key_goes_on_being_that_part(level):
    publish(Stock, level)
    alter("RENAME article TO number", table="shop_stock")
    run("INSERT INTO shop_stock (warehouse, number, amount) VALUES ('w', 1, 1), ('w', 2, 1)")
    run("UPDATE shop_stock SET amount = 2")
    run("UPDATE shop_stock SET amount = 3 WHERE number = 1")
    run("DELETE FROM shop_stock")
    keys = ['["w", 1]', '["w", 2]']
    found = list(Change.objects.filter(model="shop.stock").values_list("op", "key"))
    assert sorted(found[:2]) == [("I", key) for key in keys]
    assert sorted(found[2:4]) == [("U", key) for key in keys]
    assert found[4] == ("U", keys[0])
    assert sorted(found[5:]) == [("D", key) for key in keys]


@pytest.mark.parametrize("level", LEVELS)
def test_a_renamed_key_that_is_no_primary_key_goes_on_being_the_key(level):
    publish(Customer, level)
    alter("DROP CONSTRAINT shop_customer_pkey CASCADE", table="shop_customer")
    alter("ADD COLUMN number integer NOT NULL DEFAULT 0, ADD UNIQUE (id, number)", table="shop_customer")
    alter("ADD UNIQUE (id)", table="shop_customer")
    alter("RENAME id TO uid", table="shop_customer")
    write("name", table="shop_customer", key="uid")
    changes = list(Change.objects.filter(model="shop.customer"))
    assert [change.op for change in changes] == list("IIIIUUUUUDDDD")
    assert all(change.key == str((change.new or change.old)["uid"]) for change in changes)
