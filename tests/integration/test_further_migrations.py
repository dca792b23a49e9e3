"""Each migration beyond the first ones runs on a database with data, while others write to it."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection, migrations
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from pubsubpull import models
from pubsubpull.capture import functions, planning
from tests import migrating
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def data():
    """Have rows and changes there."""
    Customer.objects.bulk_create(Customer(name=f"customer {n}") for n in range(2000))


def names():
    """Return the names of the package's migrations in their order."""
    nodes = MigrationLoader(connection).graph.leaf_nodes("pubsubpull")
    plan = MigrationLoader(connection).graph.forwards_plan(nodes[0])
    return [name for app, name in plan if app == "pubsubpull"]


def complete(writers):
    """True if the log has each write of the writers: an insert, an update and a delete a round."""
    written = models.Change.objects.filter(model="shop.customer").exclude(key__isnull=True)
    return written.count() == 2000 + 3 * sum(writer.rounds for writer in writers)


def made_up(*statements):
    """Return a further migration that runs the statements."""
    operations = [migrations.RunSQL(statement) for statement in statements]
    return type("Migration", (migrations.Migration,), {"operations": operations})("0009_made_up", "pubsubpull")


def apply(migration):
    with connection.schema_editor(atomic=migration.atomic) as editor:
        migration.apply(MigrationLoader(connection).project_state(), editor)


def test_the_first_migrations_are_those_that_are_tested_as_a_start():
    assert tuple(names()[: len(migrating.START)]) == migrating.START


def test_each_further_migration_runs_while_others_write():
    """Back to the one before it, and forward again."""
    every = names()
    for before, name in zip(every[len(migrating.START) - 1 :], every[len(migrating.START) :], strict=False):
        MigrationExecutor(connection).migrate([("pubsubpull", before)])
        with migrating.writing() as writers:
            MigrationExecutor(connection).migrate([("pubsubpull", name)])
        assert migrating.failures(writers) == [], name
    assert planning.plan().actions == ()


def test_writers_go_on_while_a_migration_makes_all_functions_anew():
    anew = functions.statements(tuple(functions.expected("public").values()), using="default")
    with migrating.writing() as writers:
        apply(made_up(*anew))
    assert migrating.failures(writers) == []
    assert complete(writers), "each write was captured, by the old functions or by the new ones"


def test_a_migration_that_keeps_writers_waiting_is_found():
    keeping = f"LOCK TABLE shop_customer IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({migrating.LOCK_BOUND_MS} / 250.0)"
    with migrating.writing() as writers:
        apply(made_up(keeping))
    assert {type(error) for error in migrating.failures(writers)} == {psycopg.errors.LockNotAvailable}
