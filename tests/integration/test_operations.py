"""The migrations: their descriptions, and databases on which they do nothing."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import connection, migrations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.writer import MigrationWriter

from pubsubpull import models
from pubsubpull.capture import planning
from pubsubpull.capture.operations import RunFiles
from pubsubpull.log import feed, migrating
from pubsubpull.pull import consumers
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_migrations_say_all_that_the_models_say():
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_the_operation_can_be_written_down_and_described():
    operation = RunFiles("create the keys", ["key.1", "mask.1"], undo="drop.1")
    assert operation.deconstruct() == ("RunFiles", ["create the keys", ["key.1", "mask.1"]], {"undo": "drop.1"})
    assert operation.describe() == "Create the keys (2 SQL files)"
    migration = type("Migration", (migrations.Migration,), {"operations": [operation], "dependencies": []})(
        "0009_x", "pubsubpull"
    )
    assert "RunFiles" in MigrationWriter(migration, include_header=False).as_string()


def test_sqlmigrate_shows_the_sql(capsys):
    call_command("sqlmigrate", "pubsubpull", "0001")
    assert 'CREATE TABLE "public".pubsubpull_change' in capsys.readouterr().out


def test_on_another_database_there_is_no_log_and_nothing_to_do():
    class Editor:
        """The schema editor of another database."""

        class connection:  # noqa: N801  an attribute
            vendor, alias = "sqlite", "default"

        def execute(self, *_args, **_options):
            raise AssertionError("nothing is to be run")

    state = MigrationLoader(connection).project_state()
    RunFiles("create the keys", ["key.1"]).database_forwards("pubsubpull", Editor(), state, state)


def test_the_models_have_names_for_people():
    Customer.objects.create(name="a")
    change = models.Change.objects.last()
    assert str(change) == f"{change.id} insert shop.customer {change.key}"
    feed.present()
    assert str(models.Log.objects.get()).startswith("settled up to ")
    assert str(models.History.objects.latest("after")).startswith("history ")
    assert str(consumers.add("billing", [])[0]) == "billing"
    assert str(models.Request(source="http", method="GET", path="/x")) == "http GET /x"
    assert str(models.Request(source="command")) == "command"
    assert str(models.Worker(name="w")) == "w"
    assert str(models.Subscription(name="s")) == "s"


def test_after_migrate_within_a_transaction_succeeds():
    from django.db import transaction

    with transaction.atomic():
        migrating.after(using="default")
    assert planning.plan().actions == ()
