"""One database, several services: each with a log, functions and triggers of its own, in a schema of its own."""

from __future__ import annotations

import contextlib
import io

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, connections, transaction

from pubsubpull.capture import functions, planning, syncing
from pubsubpull.checks.database import check_triggers
from pubsubpull.models import Change
from pubsubpull.operate import capture_health
from tests.shop.models import Account, Customer, Order

pytestmark = pytest.mark.django_db(transaction=True)
TABLES = ("shop_customer", "shop_account", "shop_order")
A, B, RENAMED = 'Service "a"', "service_b", "renamed-a"


def run(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None


def quoted(schema):
    return '"{}"'.format(schema.replace('"', '""'))


@contextlib.contextmanager
def service(*schemas):
    """Be the service whose schema comes first on the search path, as its OPTIONS say."""
    connection.close()
    options = connection.settings_dict["OPTIONS"]
    path = ",".join(map(quoted, schemas)).replace(" ", "\\ ")
    options["options"] = f"-c search_path={path}"
    try:
        yield
    finally:
        del options["options"]
        connection.close()


@pytest.fixture
def _schemas():
    """Make a schema for each of two services."""
    run(f"CREATE SCHEMA {quoted(A)}", f"CREATE SCHEMA {quoted(B)}")
    yield
    for schema in (A, B, RENAMED):
        run(f"DROP SCHEMA IF EXISTS {quoted(schema)} CASCADE")


def migrate():
    """Migrate pubsubpull; the tables are copies, since a table of the shop is in a schema of its own."""
    schema = quoted(run("SELECT current_schema()")[0][0])
    for table in TABLES:
        run(f"CREATE TABLE IF NOT EXISTS {schema}.{table} (LIKE public.{table} INCLUDING ALL)")
    call_command("migrate", "pubsubpull", verbosity=0, stdout=io.StringIO())


def captured():
    """Return for each schema how many triggers capture its tables."""
    rows = run(
        "SELECT n.nspname, count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE t.tgname LIKE '00\\_pubsubpull%' GROUP BY 1"
    )
    return dict(rows)


def write():
    """Write for each kind of trigger; return the captured changes."""
    last = Change.objects.order_by("-id").values_list("id", flat=True).first() or 0
    customer = Customer.objects.create(name="a")
    Customer.objects.filter(pk=customer.pk).update(name="b")
    Account.objects.create(owner="o")
    customer.delete()
    return [(change.model, change.op) for change in Change.objects.filter(id__gt=last).order_by("model", "id")]


WRITTEN = [("shop.account", "I"), ("shop.customer", "I"), ("shop.customer", "U"), ("shop.customer", "D")]


@pytest.mark.usefixtures("_schemas")
def test_each_service_looks_after_its_own_triggers_and_writes_to_its_own_log():
    of_public = captured()["public"]
    with service(A):
        migrate()
    of_a = captured()[A]
    with service(B):
        migrate()
        assert write() == WRITTEN
    assert (captured()["public"], captured()[A]) == (of_public, of_a)
    with service(A):
        assert Change.objects.count() == 0
        assert planning.plan().actions == ()
        assert write() == WRITTEN
        migrate()
        run('DROP TRIGGER "00_pubsubpull_insert" ON shop_customer')
        call_command("pubsubpull_triggers", "--sync", stdout=io.StringIO())
        assert planning.plan().actions == ()
    with service(B):
        assert Change.objects.count() == 4
        assert planning.plan().actions == ()
    assert planning.plan().actions == ()


@pytest.mark.usefixtures("_schemas")
def test_a_service_that_sees_anothers_schema_second_keeps_to_its_own():
    with service(A):
        migrate()
    with service(A, "public"):
        before = captured()
        assert write() == WRITTEN
        call_command("pubsubpull_triggers", "--sync", stdout=io.StringIO())
        assert captured() == before
        call_command("migrate", "pubsubpull", "zero", verbosity=0)
        assert A not in captured()
    assert captured()["public"] == before["public"]
    assert planning.plan().actions == ()


@pytest.mark.usefixtures("_schemas")
@pytest.mark.parametrize("repair", [["pubsubpull_triggers", "--sync"], ["migrate", "pubsubpull", "--verbosity=0"]])
def test_after_the_schema_is_renamed_everything_tells_and_sync_or_migrate_repairs_it(repair):
    with service(A):
        migrate()
    run(f"ALTER SCHEMA {quoted(A)} RENAME TO {quoted(RENAMED)}")
    with service(RENAMED):
        with pytest.raises(DatabaseError), transaction.atomic():
            Customer.objects.create(name="a")
        assert "run manage.py pubsubpull_triggers --sync" in capture_health.checks("default")["database"]
        assert any("the function" in warning.msg for warning in check_triggers(databases=["default"]))
        with pytest.raises(CommandError, match="pubsubpull_triggers --sync"):
            call_command("pubsubpull_triggers", "--check", stdout=io.StringIO())
        call_command(*repair, stdout=io.StringIO())
        assert capture_health.checks("default")["database"] == "ok"
        assert planning.plan().actions == ()
        assert write() == WRITTEN
        Order.objects.all().delete()


@pytest.mark.usefixtures("_schemas")
def test_a_function_that_was_altered_is_told_and_made_anew():
    with service(A):
        migrate()
        run(
            "CREATE OR REPLACE FUNCTION pubsubpull_mask(data jsonb, masked text[]) RETURNS jsonb "
            "LANGUAGE sql AS 'SELECT data'"
        )
        assert [str(one) for one in planning.plan().actions] == [f"replace the function {A}.pubsubpull_mask"]
        syncing.sync()
        run("ALTER FUNCTION pubsubpull_capture_insert() RESET search_path")
        assert len(planning.plan().actions) == 1
        syncing.sync()
        assert functions.state(A, "default") == functions.State(differing=(), moved=(), foreign=())


@pytest.mark.parametrize(("schema", "path"), [("it's", '"it\'s"'), ("100%", '"100%"'), ("a$$b", '"a$$b"')])
def test_a_schema_name_that_functions_cannot_use_is_refused(schema, path):
    from pubsubpull.capture import schema as files

    with pytest.raises(CommandError, match="its name must not contain"):
        files.text("key.1", schema)


def test_without_a_schema_to_make_the_log_in_migrate_says_so():
    with service("nowhere"), pytest.raises(CommandError, match="No schema exists to create the log in.*nowhere"):
        from pubsubpull.capture import schema as files

        list(files.statements(["key.1"], using="default"))
    connections["default"].close()


@pytest.mark.usefixtures("_schemas")
def test_a_table_that_another_log_captures_is_left_to_it_and_named():
    with service(A):
        migrate()
        assert planning.plan().taken == ("Other Schema.The Table, into the log of the schema public",)
        assert "pubsubpull.W050" in {warning.id for warning in check_triggers(databases=["default"])}
        assert capture_health.checks("default")["triggers"] != "ok"
        out = io.StringIO()
        with pytest.raises(CommandError, match="differ from what is published"):
            call_command("pubsubpull_triggers", "--check", stdout=out, stderr=out)
    assert "The Table, into the log of the schema public, is captured already" in out.getvalue()
    assert planning.plan().taken == ()
    assert planning.plan().actions == ()
