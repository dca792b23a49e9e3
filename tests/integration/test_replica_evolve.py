"""The source's columns change while replicas run: nothing is lost, whichever side migrates first."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection, models

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.replica import declaration, health
from tests.integration.test_replica_follow import until_due

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "replicas.evolving"


def sql(*statements):
    with connection.cursor() as run:
        for statement in statements:
            run.execute(statement)
        return run.fetchall() if run.description else []


def model(name, **fields):
    """Make a model of one of the two tables, as a version of the code would have it."""
    apps.all_models["replicas"].pop(name.lower(), None)
    meta = type("Meta", (), {"managed": False, "app_label": "replicas", "db_table": f"replicas_{name.lower()}"})
    return type(name, (models.Model,), {"__module__": "tests.replicas.models", "Meta": meta, **fields})


def declare(fields=None, **columns):
    """Deploy a version of the replica's code."""
    declaration._replicas.pop(NAME, None)
    made = {column: field() for column, field in columns.items()}
    pubsubpull.replicates("replicas.evolvingsource", service="shop", fields=fields)(model("Evolving", **made))


def text():
    return models.TextField()


@pytest.fixture(autouse=True)
def tables():
    from django.core.management import call_command

    sql(
        "CREATE TABLE replicas_evolvingsource (id bigserial PRIMARY KEY, a text NOT NULL)",
        "CREATE TABLE replicas_evolving (id bigint PRIMARY KEY, a text NOT NULL)",
    )
    source = model("EvolvingSource", a=models.TextField())
    pubsubpull.publish(source)
    try:
        call_command("pubsubpull_triggers", "--sync", verbosity=0)
        yield
    finally:
        pubsubpull.unpublish(source)
        declaration._replicas.pop(NAME, None)
        for name in ("evolving", "evolvingsource"):
            apps.all_models["replicas"].pop(name, None)
        apps.clear_cache()
        sql("DROP TABLE replicas_evolvingsource, replicas_evolving")


def write(**row):
    names, values = ", ".join(row), ", ".join(f"'{value}'" for value in row.values())
    sql(f"INSERT INTO replicas_evolvingsource ({names}) VALUES ({values})")


def rows():
    return sql("SELECT t.*::text FROM replicas_evolving t ORDER BY id")


def equal():
    here = sql("SELECT to_jsonb(t)::text FROM replicas_evolving t ORDER BY id")
    return here == sql("SELECT to_jsonb(t)::text FROM replicas_evolvingsource t ORDER BY id") != []


@pytest.mark.parametrize("first", ["source", "replica"])
def test_a_column_that_is_added_reaches_old_rows_too(follower, first):
    declare(a=text)
    write(a="before")
    follower.run_once()

    def source():
        sql("ALTER TABLE replicas_evolvingsource ADD COLUMN b text NOT NULL DEFAULT 'given'")
        write(a="new", b="mine")

    def replica():
        sql("ALTER TABLE replicas_evolving ADD COLUMN b text NOT NULL DEFAULT 'none yet'")
        declare(a=text, b=lambda: models.TextField(default="none yet"))

    steps = [source, replica] if first == "source" else [replica, source]
    for step in steps:
        step()
        write(a="between")
        follower.run_once()
    assert equal()
    assert health.checks("default")[f"replica {NAME}"] == "ok"


@pytest.mark.parametrize("first", ["source", "replica"])
def test_a_column_that_is_dropped_takes_nothing_else_along(follower, first):
    sql("ALTER TABLE replicas_evolvingsource ADD COLUMN b text DEFAULT 'x'")
    sql("ALTER TABLE replicas_evolving ADD COLUMN b text")
    declare(a=text, b=lambda: models.TextField(null=True))
    write(a="before")
    follower.run_once()

    def source():
        sql("ALTER TABLE replicas_evolvingsource DROP COLUMN b")

    def replica():
        declare(a=text)
        sql("ALTER TABLE replicas_evolving DROP COLUMN b")

    for step in [source, replica] if first == "source" else [replica, source]:
        step()
        write(a="between")
        follower.run_once()
    assert equal()


@pytest.mark.parametrize("first", ["source", "replica"])
def test_a_renamed_column_keeps_the_values_written_under_either_name(follower, first):
    declare(a=text)
    write(a="before")
    follower.run_once()

    def source():
        sql("ALTER TABLE replicas_evolvingsource RENAME a TO b")
        write(b="under the new name")
        sql("UPDATE replicas_evolvingsource SET b = 'changed' WHERE id = 1")

    def replica():
        declare(fields={"a": "b"}, a=text)

    steps = [source, replica] if first == "source" else [replica, source]
    steps[0]()
    with pytest.raises(exceptions.ReplicaFailed, match='null value in column "a"'):
        follower.run_once()
    assert rows() == [("(1,before)",)], "what it holds stays"
    steps[1]()
    until_due(follower)
    assert rows() == [("(1,changed)",), ('(2,"under the new name")',)]


@pytest.mark.parametrize("first", ["source", "replica"])
def test_a_column_that_is_retyped_waits_for_the_side_that_is_behind(follower, first):
    sql("ALTER TABLE replicas_evolvingsource ADD COLUMN m int", "ALTER TABLE replicas_evolving ADD COLUMN m int")
    declare(a=text, m=lambda: models.IntegerField(null=True))
    write(a="before", m=1)
    follower.run_once()

    def source():
        sql("ALTER TABLE replicas_evolvingsource ALTER m TYPE text")
        write(a="new", m="one")

    def replica():
        sql("ALTER TABLE replicas_evolving ALTER m TYPE text")
        declare(a=text, m=lambda: models.TextField(null=True))

    if first == "source":
        source()
        with pytest.raises(exceptions.ReplicaFailed, match='invalid input syntax for type integer: "one"'):
            follower.run_once()
        replica()
    else:
        replica()
        write(a="between", m=2)
        follower.run_once()
        source()
    until_due(follower)
    assert equal()
    assert len(rows()) == 2 + (first == "replica")


def test_code_that_is_ahead_of_its_table_waits_for_the_migration(follower):
    """Applied without the column, its values would be lost."""
    sql("ALTER TABLE replicas_evolvingsource ADD COLUMN b text DEFAULT 'x'")
    declare(a=text)
    write(a="before")
    follower.run_once()
    declare(a=text, b=text)
    write(a="new", b="y")
    with pytest.raises(exceptions.ReplicaFailed, match="has no column 'b': migrate it"):
        follower.run_once()
    sql("ALTER TABLE replicas_evolving ADD COLUMN b text")
    until_due(follower)
    assert equal()


def test_without_the_key_or_the_filters_columns_nothing_is_applied(follower):
    """A filter on a column that is gone would empty the replica."""
    declaration._replicas.pop(NAME, None)
    made = model("Evolving", a=models.TextField())
    pubsubpull.replicates("replicas.evolvingsource", service="shop", where={"a": "in"})(made)
    write(a="in")
    write(a="out")
    follower.run_once()
    assert rows() == [("(1,in)",)]
    sql("ALTER TABLE replicas_evolvingsource RENAME a TO b", "UPDATE replicas_evolvingsource SET b = b || ''")
    write(b="in")
    with pytest.raises(exceptions.ReplicaFailed, match=f"^{NAME}: replicas.evolvingsource does not send a, which"):
        follower.run_once()
    assert rows() == [("(1,in)",)]


def test_a_field_that_no_column_fills_is_told_with_the_column_that_should(follower):
    declare({"a": "aa"}, a=text)
    write(a="x")
    with pytest.raises(exceptions.ReplicaFailed, match="filled from replicas.evolvingsource's column aa: is there one"):
        follower.run_once()


def test_a_page_in_which_a_column_appears_is_applied_change_by_change(follower):
    sql("ALTER TABLE replicas_evolving ADD COLUMN b text DEFAULT 'none yet'")
    declare(a=text, b=lambda: models.TextField(default="none yet"))
    write(a="before")
    follower.run_once()
    assert rows() == [('(1,before,"none yet")',)]
    write(a="between")
    sql("ALTER TABLE replicas_evolvingsource ADD COLUMN b text DEFAULT 'given'", "TRUNCATE replicas_evolvingsource")
    write(a="new", b="mine")
    sql("UPDATE replicas_evolvingsource SET a = 'newer'")
    follower.run_once()
    assert equal()
    assert rows() == [("(3,newer,mine)",)]
