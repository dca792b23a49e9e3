"""Triggers follow the published models."""

from __future__ import annotations

import io
import threading

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

import pubsubpull
from pubsubpull.capture import planning, registry, syncing, tables, triggers
from pubsubpull.checks.database import check_triggers
from pubsubpull.log import migrating
from pubsubpull.log.models import Change
from tests.sessions import session
from tests.shop.models import Account, Customer, Event, Order, Secret, Tag

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _publications():
    """Restore the publications and their triggers."""
    before = dict(registry._publications)
    yield
    registry._publications.clear()
    registry._publications.update(before)
    syncing.sync()


def run(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def actions():
    return [str(action) for action in planning.plan().actions]


def kinds(table):
    return {t.name.removeprefix(triggers.NAME_PREFIX) for t in planning.plan().wanted if t.table == table}


def call(*args):
    out, err = io.StringIO(), io.StringIO()
    call_command("pubsubpull_triggers", *args, stdout=out, stderr=err)
    return out.getvalue() + err.getvalue()


def test_after_migrate_all_that_is_published_has_its_triggers():
    assert actions() == []
    assert kinds("shop_customer") == {"insert", "update", "delete", "truncate"}


def test_publishing_creates_and_unpublishing_drops():
    pubsubpull.publish(Secret)
    pubsubpull.unpublish(Customer)
    assert [a.split()[0] for a in actions()] == ["drop"] * 4 + ["create"] * 4
    call_command("migrate", verbosity=0)
    assert actions() == []
    Secret.objects.create(text="s")
    Customer.objects.create(name="a")
    assert [c.model for c in Change.objects.exclude(op="T")][-1] == "shop.secret"
    assert not Change.objects.filter(model="shop.customer").exclude(op="T").exists()


def test_a_changed_publication_replaces_its_triggers():
    pubsubpull.publish(Customer, exclude=["email"])
    assert {a.split()[0] for a in actions()} == {"replace"}
    done = syncing.sync().done
    assert len(done) == 4
    assert actions() == []


def test_a_trigger_that_was_dropped_or_disabled_by_hand_is_seen_and_put_right():
    run('DROP TRIGGER "00_pubsubpull_insert" ON shop_customer')
    run('ALTER TABLE shop_customer DISABLE TRIGGER "00_pubsubpull_update"')
    assert actions() == [
        "create 00_pubsubpull_insert on public.shop_customer",
        "replace 00_pubsubpull_update on public.shop_customer",
    ]
    syncing.sync()
    assert actions() == []


def test_auto_takes_row_where_a_statement_would_be_too_late():
    assert kinds("shop_account") == {"row", "truncate"}
    assert kinds("shop_event") == {"row", "truncate"}
    assert kinds("shop_event_north") == {"truncate_partition"}
    assert tables.facts(registry.get("shop.account")).reasons() == ["its row trigger number"]


def test_auto_takes_row_where_a_foreign_key_changes_rows_when_a_key_moves():
    run("CREATE TABLE shop_child (up bigint REFERENCES shop_customer (id) ON UPDATE CASCADE)")
    try:
        assert kinds("shop_customer") == {"row", "truncate"}
        assert {a.split()[0] for a in actions()} == {"create", "drop"}
    finally:
        run("DROP TABLE shop_child")


def test_a_level_that_is_asked_for_is_taken_and_warned_of_where_it_does_not_fit():
    pubsubpull.publish(Account, level="statement")
    pubsubpull.publish(Customer, level="row")
    assert kinds("shop_account") == {"insert", "update", "delete", "truncate"}
    assert kinds("shop_customer") == {"row", "truncate"}
    syncing.sync()
    (warning,) = check_triggers(databases=["default"])
    assert warning.id == "pubsubpull.W006"
    assert "its row trigger number" in warning.msg
    Customer.objects.bulk_create([Customer(name="a"), Customer(name="b")])
    assert Change.objects.filter(model="shop.customer", op="I").count() == 2


def test_the_statement_level_is_stale_where_a_row_trigger_writes_and_the_row_level_is_not():
    for level, expected in (("statement", ""), ("row", "A")):
        pubsubpull.publish(Account, level=level)
        syncing.sync()
        account = Account.objects.create(owner="me")
        last = Change.objects.filter(model="shop.account", key=str(account.pk)).last()
        assert last.new["number"][:1] == expected


def test_a_partition_made_later_gets_its_trigger_with_the_next_sync():
    run("CREATE TABLE shop_event_west PARTITION OF shop_event FOR VALUES IN ('west')")
    try:
        assert actions() == ["create 00_pubsubpull_truncate_partition on public.shop_event_west"]
        Event.objects.create(region="west", number=1)
        assert Change.objects.last().key == '["west", 1]'
    finally:
        run("DROP TABLE shop_event_west")


def test_syncing_twice_at_once_is_safe():
    pubsubpull.unpublish(Customer)
    syncing.sync()
    pubsubpull.publish(Customer)
    errors = []

    def sync():
        try:
            syncing.sync()
        except Exception as error:  # noqa: BLE001  shown below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=sync) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (errors, actions()) == ([], [])


def test_replacing_triggers_loses_no_write():
    stop = threading.Event()
    written = []

    def write():
        with session() as other:
            while not stop.is_set():
                ((key,),) = other.execute("INSERT INTO shop_tag (name) VALUES ('t') RETURNING id").fetchall()
                written.append(str(key))

    pubsubpull.publish(Tag)
    syncing.sync()
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for level in ("row", "statement") * 5:
            pubsubpull.publish(Tag, level=level)
            syncing.sync()
    finally:
        stop.set()
        writer.join(60)
    keys = list(Change.objects.filter(model="shop.tag", op="I").values_list("key", flat=True))
    assert keys == written


def test_the_command_lists_syncs_and_checks():
    assert "public.shop_customer: 00_pubsubpull_insert" in call()
    assert "are installed" in call("--check")
    pubsubpull.publish(Secret)
    assert "to do: create 00_pubsubpull_insert on public.shop_secret" in call()
    with pytest.raises(CommandError, match="pubsubpull_triggers --sync"):
        call("--check")
    assert "done: create 00_pubsubpull_insert on public.shop_secret" in call("--sync")
    assert "are installed" in call("--check")


def test_a_published_model_without_a_table_is_said_and_harms_nothing(caplog):
    run("ALTER TABLE shop_secret RENAME TO shop_gone")
    try:
        pubsubpull.publish(Secret)
        syncing.sync()
        assert "shop.secret is published but has no table" in caplog.text
        with pytest.raises(CommandError):
            call("--check")
        assert [w.id for w in check_triggers(databases=["default"])] == ["pubsubpull.W005"]
        Customer.objects.create(name="a")
    finally:
        run("ALTER TABLE shop_gone RENAME TO shop_secret")


def test_a_check_names_the_steps_to_take():
    run('DROP TRIGGER "00_pubsubpull_insert" ON shop_customer')
    (warning,) = check_triggers(databases=["default"])
    assert (warning.id, "create 00_pubsubpull_insert" in warning.msg) == ("pubsubpull.W004", True)
    assert check_triggers() == []


def test_a_check_says_in_a_line_how_much_is_to_do():
    for table in ("shop_customer", "shop_order", "shop_stock"):
        for kind in ("insert", "update", "delete"):
            run(f'DROP TRIGGER IF EXISTS "00_pubsubpull_{kind}" ON {table}')
    (warning,) = check_triggers(databases=["default"])
    assert "create 00_pubsubpull_delete on public.shop_customer, and 8 more, is to do" in warning.msg
    assert "pubsubpull_triggers --sync" in warning.hint


def test_using_limits_a_publication_to_its_databases():
    pubsubpull.publish(Customer, using="second")
    assert kinds("shop_customer") == set()
    pubsubpull.publish(Customer, using=["default", "second"])
    assert kinds("shop_customer") != set()


def test_a_database_without_a_log_has_no_plan_and_says_how_to_make_one():
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA elsewhere")
        cursor.execute("SET search_path = elsewhere")
    try:
        assert planning.plan() is None
        assert syncing.sync() == syncing.Synced()
        assert check_triggers(databases=["default"]) == []
        with pytest.raises(CommandError, match="manage.py migrate --database default"):
            call()
        migrating.after(using="default")
    finally:
        run("DROP SCHEMA elsewhere")
        run("RESET search_path")


def test_columns_whose_names_need_quotes_are_excluded_too():
    run("""ALTER TABLE shop_secret RENAME COLUMN text TO "a ""quoted"", \\name" """)
    field = Secret._meta.get_field("text")
    column, field.column = field.column, 'a "quoted", \\name'
    try:
        pubsubpull.publish(Secret, exclude=["text"])
        syncing.sync()
        run("""INSERT INTO shop_secret ("a ""quoted"", \\name") VALUES ('s')""")
        assert set(Change.objects.last().new) == {"id"}
    finally:
        field.column = column
        run("""ALTER TABLE shop_secret RENAME COLUMN "a ""quoted"", \\name" TO text""")


def test_virtual_columns_are_left_out():
    if connection.pg_version < 180000:
        pytest.skip("PostgreSQL 18 has virtual columns")
    run("ALTER TABLE shop_customer ADD COLUMN doubled text GENERATED ALWAYS AS (name || name) VIRTUAL")
    try:
        syncing.sync()
        Customer.objects.create(name="a")
        assert "doubled" not in Change.objects.last().new
    finally:
        run("ALTER TABLE shop_customer DROP COLUMN doubled")


def test_the_log_can_be_taken_away_and_made_again():
    call_command("migrate", "pubsubpull", "zero", verbosity=0)
    try:
        assert planning.plan() is None
        Order.objects.create()
        assert run("SELECT count(*) FROM pg_proc WHERE proname LIKE 'pubsubpull%'") == [(0,)]
        assert run("SELECT count(*) FROM pg_class WHERE relname LIKE 'pubsubpull%'") == [(0,)]
    finally:
        call_command("migrate", verbosity=0)
    assert actions() == []
    Order.objects.create()
    assert Change.objects.filter(op="I").count() == 1
