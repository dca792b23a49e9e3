"""A key's parts keep their order after any renames in any order, before and after the next sync."""

from __future__ import annotations

import json

import pytest
from django.db import connection, models
from django.test.utils import isolate_apps

import pubsubpull
from pubsubpull.capture import registry, syncing
from pubsubpull.models import Change
from tests.shop.models import Event

pytestmark = pytest.mark.django_db

RENAMED = {
    "nothing": [],
    "the first": ["RENAME a TO x"],
    "the second": ["RENAME b TO y"],
    "both": ["RENAME a TO x", "RENAME b TO y"],
    "both, the second first": ["RENAME b TO x", "RENAME a TO y"],
    "each to the other's name": ["RENAME a TO t", "RENAME b TO a", "RENAME t TO b"],
    "one to the other's earlier name": ["RENAME a TO x", "RENAME b TO a"],
    "a column to a part's earlier name": ["RENAME a TO x", "RENAME c TO a"],
    "both, after another was dropped": ["DROP c", "RENAME b TO y", "RENAME a TO c"],
    "both, after another was added": ["ADD d int", "RENAME a TO x", "RENAME b TO y"],
}
HIDDEN = {"nothing is hidden": {}, "one is excluded": {"exclude": ["c"]}, "one is masked": {"mask": ["c"]}}
TABLE = """
    CREATE TABLE paired (gone int, c text NOT NULL DEFAULT '', b {type} NOT NULL, a {type} NOT NULL);
    ALTER TABLE paired DROP gone;
    ALTER TABLE paired ADD PRIMARY KEY ({index})
"""


@pytest.fixture(autouse=True)
def _as_it_was():
    before = dict(registry._publications)
    run("SET CONSTRAINTS ALL IMMEDIATE")
    yield
    registry._publications.clear()
    registry._publications.update(before)


def run(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def alter(steps):
    run(*(f"ALTER TABLE paired {step}" for step in steps))


@pytest.fixture
def publish(request):
    """Publish a table whose key is (a, b), whichever order its columns and its index have."""
    level, index, type_, hidden = request.param
    run(TABLE.format(index=index, type=type_))
    field = {"int": models.IntegerField, "text": models.TextField}[type_]
    with isolate_apps("tests.shop"):
        fields = {
            "__module__": "tests.shop.models",
            "Meta": type("Meta", (), {"app_label": "shop", "managed": False, "db_table": "paired"}),
            "pk": models.CompositePrimaryKey("a", "b"),
            **{name: field() for name in ("a", "b")},
            "c": models.TextField(),
        }
        model = type("Paired", (models.Model,), fields)
    pubsubpull.publish(model, level=level, **hidden)
    syncing.sync()


def kinds():
    for level in ("statement", "row"):
        for index in ("a, b", "b, a"):
            for hides, hidden in HIDDEN.items():
                type_ = "int" if index == "b, a" else "text"
                yield pytest.param((level, index, type_, hidden), id=f"{level}, index {index}, {hides}")


def keys_written():
    """Write rows whose first part is 1 or 2 and whose second is 10, in each way; return the keys in the log."""
    run("TRUNCATE pubsubpull_change")
    first, second = parts()
    into = f"INSERT INTO paired ({first}, {second}) VALUES"
    run(
        f"{into} (1, 10)",
        f"{into} (2, 10), (3, 10)",
        f"UPDATE paired SET {second} = 11 WHERE {first} = '1'",
        f"UPDATE paired SET {second} = 12 WHERE {first} <> '1'",
        f"DELETE FROM paired WHERE {first} = '1'",
        "DELETE FROM paired",
    )
    return [(change.op, *map(int, json.loads(change.key))) for change in Change.objects.order_by("id")]


def parts():
    """Return the names that the parts of the key have now, by their numbers."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname FROM pg_attribute "
            "WHERE attrelid = 'paired'::regclass AND attnum IN (3, 4) ORDER BY attnum DESC"
        )
        return [name for (name,) in cursor.fetchall()]


EXPECTED = sorted(
    [("I", n, 10) for n in (1, 2, 3)]
    + [("D", 1, 10), ("I", 1, 11), ("D", 2, 10), ("I", 2, 12), ("D", 3, 10), ("I", 3, 12)]
    + [("D", 1, 11), ("D", 2, 12), ("D", 3, 12)]
)


@pytest.mark.parametrize("steps", RENAMED.values(), ids=RENAMED)
@pytest.mark.parametrize("publish", [*kinds()], indirect=True)
def test_the_parts_of_a_key_keep_their_places_whatever_is_renamed(publish, steps):
    alter(steps)
    assert sorted(keys_written()) == EXPECTED


@pytest.mark.parametrize("publish", [("statement", "b, a", "int", {}), ("row", "b, a", "int", {})], indirect=True)
def test_a_table_that_a_dump_brought_back_is_known_by_its_names(publish):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'paired'::regclass AND NOT tgisinternal"
        )
        made = [statement for (statement,) in cursor.fetchall()]
    run(
        "CREATE TABLE restored (c text NOT NULL DEFAULT '', b int NOT NULL, a int NOT NULL, PRIMARY KEY (a, b))",
        "DROP TABLE paired",
        "ALTER TABLE restored RENAME TO paired",
        *made,
        "TRUNCATE pubsubpull_change",
        "INSERT INTO paired (a, b) VALUES (1, 10)",
        "ALTER TABLE paired RENAME b TO y",
        "INSERT INTO paired (a, y) VALUES (2, 20)",
        "ALTER TABLE paired RENAME a TO x",
        "INSERT INTO paired (x, y) VALUES (3, 30)",
    )
    assert [json.loads(change.key) for change in Change.objects.order_by("id")] == [[1, 10], [2, 20], [3, 30]]


def test_partitions_whose_columns_have_other_numbers_keep_the_places_of_the_root():
    run(
        "CREATE TABLE shop_event_odd (x int, text text NOT NULL, number int NOT NULL, region text NOT NULL)",
        "ALTER TABLE shop_event_odd DROP x",
        "ALTER TABLE shop_event ATTACH PARTITION shop_event_odd FOR VALUES IN ('odd')",
    )
    pubsubpull.publish(Event)
    syncing.sync()
    run(
        "TRUNCATE pubsubpull_change",
        "ALTER TABLE shop_event RENAME number TO place",
        "ALTER TABLE shop_event RENAME region TO number",
        "INSERT INTO shop_event (number, place, text) VALUES ('odd', 1, ''), ('north', 2, '')",
        "UPDATE shop_event_odd SET text = 'x'",
        "TRUNCATE shop_event_odd",
    )
    changes = [(change.op, json.loads(change.key)) for change in Change.objects.order_by("id")]
    assert changes == [("I", ["odd", 1]), ("I", ["north", 2]), ("U", ["odd", 1]), ("D", ["odd", 1])]
