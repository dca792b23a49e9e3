"""A baseline: the rows that a table had when it was published are put into the log once."""

from __future__ import annotations

import io
import threading

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, connections

import pubsubpull
from pubsubpull.audit.history import history
from pubsubpull.audit.integrity import baseline
from pubsubpull.capture import syncing
from pubsubpull.models import Change
from tests.sessions import session
from tests.shop.models import Customer, Order, Quoted, Stock

pytestmark = pytest.mark.django_db(transaction=True)


def run(statement, params=None):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else None


def forget():
    run("TRUNCATE pubsubpull_change")


def record(*labels, **options):
    out = io.StringIO()
    call_command("pubsubpull_triggers", "--baseline", *labels, stdout=out, stderr=out, **options)
    return out.getvalue()


def names():
    return [(change.op, change.new["name"]) for change in Change.objects.filter(model="shop.customer").order_by("id")]


def test_the_present_rows_are_in_the_log_once_and_histories_begin_with_them():
    customer = Customer.objects.create(name="a")
    forget()
    before = run("SELECT clock_timestamp()")[0][0]
    assert "shop.customer: 1 of 1 rows are new in the log." in record("shop.Customer")
    (entry,) = pubsubpull.history(customer)
    assert (entry.op, entry.old, entry.new) == ("update", entry.new, {"id": customer.pk, "name": "a", "email": ""})
    assert (entry.request["source"], entry.request["metadata"]) == ("baseline", {"model": "shop.customer"})
    assert entry.is_baseline
    assert pubsubpull.as_of(Customer, customer.pk, entry.at).data["name"] == "a"
    assert pubsubpull.as_of(Customer, customer.pk, before).version == 0
    assert "0 of 1 rows" in record("shop.customer")
    assert len(pubsubpull.history(customer)) == 1


def test_rows_that_have_a_change_are_left_alone_unless_asked_for():
    Customer.objects.create(name="old")
    forget()
    Customer.objects.create(name="new")
    record("shop.customer")
    assert names() == [("I", "new"), ("U", "old")]
    assert "2 of 2 rows" in record("shop.customer", again=True)
    assert names() == [("I", "new"), ("U", "old"), ("U", "old"), ("U", "new")]


def test_it_goes_on_where_it_was_interrupted_and_tells_how_far_it_is():
    Customer.objects.bulk_create(Customer(name=str(number)) for number in range(8))
    forget()
    steps = baseline.baseline("shop.customer", using="default", at_once=3)
    assert [next(steps), next(steps)] == [
        baseline.Progress(looked=3, written=3),
        baseline.Progress(looked=6, written=6),
    ]
    steps.close()
    assert [(step.looked, step.written) for step in baseline.baseline("shop.customer", using="default", at_once=3)] == [
        (3, 0),
        (6, 0),
        (8, 2),
    ]
    assert sorted(names()) == [("U", str(number)) for number in range(8)]
    assert history.history(models=[Customer])[0].request_id is not None


def test_recording_all_rows_again_goes_on_where_it_was_interrupted():
    Customer.objects.bulk_create(Customer(name=str(number)) for number in range(5))
    before = baseline.last_version("default")
    out = record("shop.customer", "shop.order", again=True)
    assert f"go on with --since {before} instead of --again" in out
    run("DELETE FROM pubsubpull_change WHERE id > (SELECT min(id) + 2 FROM pubsubpull_change WHERE op = 'U')")
    assert "shop.customer: 2 of 5 rows" in record("shop.customer", since=before)
    assert sorted(name for op, name in names() if op == "U") == list("01234")
    assert "shop.customer: 0 of 5 rows" in record("shop.customer", "shop.order", since=before)


def test_which_rows_are_recorded_is_said_of_a_baseline_alone():
    for options in ({"again": True}, {"since": 0}):
        with pytest.raises(CommandError, match="say which rows --baseline records"):
            call_command("pubsubpull_triggers", **options)


def test_composite_keys_quoted_names_and_hidden_columns():
    Stock.objects.create(warehouse="Köln, \"x' \\", article=7, amount=5)
    Stock.objects.create(warehouse="a", article=8)
    Quoted.objects.create(value="it's")
    Order.objects.create(internal_note="n", card="4711", total="9999999999.10")
    written = list(Change.objects.order_by("model", "key").values_list("model", "key", "new"))
    forget()
    record("shop.stock", "shop.quoted", "shop.order")
    assert list(Change.objects.order_by("model", "key").values_list("model", "key", "new")) == written
    assert "0 of 2 rows" in record("shop.stock")


def test_a_locked_row_is_left_to_the_end_and_recorded_in_its_state_then():
    held = Customer.objects.create(name="a")
    Customer.objects.create(name="b")
    forget()
    done = []

    def work():
        try:
            done.extend(baseline.baseline("shop.customer", using="default"))
        finally:
            connections.close_all()

    with session() as other:
        other.execute("BEGIN")
        other.execute("SELECT FROM shop_customer WHERE id = %s FOR UPDATE", [held.pk])
        thread = threading.Thread(target=work)
        thread.start()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        deadline = threading.Event()
        timer = threading.Timer(60, deadline.set)
        timer.start()
        while not (run("SELECT pg_stat_clear_snapshot()") and run(waits)[0][0]):
            assert not deadline.is_set()
        timer.cancel()
        assert names() == [("U", "b")], "the others are recorded, and held no longer, while it waits for the one"
        other.execute("UPDATE shop_customer SET name = 'c' WHERE id = %s", [held.pk])
        other.execute("COMMIT")
        thread.join(20)
    assert names() == [("U", "b"), ("U", "c")], "its own change tells of it: it is not recorded besides"
    assert done[-1].written == 1


def test_a_change_that_commits_while_the_row_is_waited_for_is_the_only_one():
    """Without a look at the log after the lock, the row would be there twice."""
    customer = Customer.objects.create(name="a")
    forget()
    run("BEGIN")
    run("UPDATE shop_customer SET name = 'b' WHERE id = %s", [customer.pk])
    with session() as other:
        found = []

        def work():
            call = "SELECT written FROM pubsubpull_baseline('shop_customer', 'shop.customer', '{id}', '{}', '{}', "
            found.append(other.execute(f"{call} '[[\"{customer.pk}\"]]', 0, true)").fetchone()[0])

        thread = threading.Thread(target=work)
        thread.start()
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while not run(waits)[0][0]:
            assert thread.is_alive()
        run("COMMIT")
        thread.join(20)
    assert found == [0]
    assert names() == [("U", "b")]


def test_the_admins_page_tells_a_baseline_with_the_row_that_it_recorded(client):
    customer = Customer.objects.create(name="Miller")
    forget()
    record("shop.customer")
    client.force_login(User.objects.create_superuser("boss"))
    text = client.get(f"/admin/shop/customer/{customer.pk}/history/").content.decode()
    assert '<span class="psp-op">baseline</span>' in text
    assert '<td class="psp-text">—</td><td class="psp-text">Miller</td>' in text


def test_an_impossible_baseline_gives_its_reason():
    with pytest.raises(CommandError, match=r"shop.secret is not published. Published are: .*shop.account"):
        record("shop.secret")
    run('DROP TRIGGER "00_pubsubpull_update" ON shop_customer')
    try:
        with pytest.raises(CommandError, match="triggers of shop.customer are not installed.*--sync"):
            record("shop.customer")
        assert "0 of 0 rows" in record("shop.customer", sync=True)
    finally:
        syncing.sync()


def test_partitioned_tables_and_json_that_jsonb_cannot_hold():
    run("ALTER TABLE shop_customer ADD COLUMN doc json")
    try:
        syncing.sync()
        run("INSERT INTO shop_event (region, number, text) VALUES ('eu', 1, 'a'), ('us', 2, 'b')")
        run("INSERT INTO shop_customer (name, email, doc) VALUES ('a', '', %s)", ['{"a": "\\u0000"}'])
        written = list(Change.objects.order_by("model", "key").values_list("model", "key", "new"))
        forget()
        assert "2 of 2 rows" in record("shop.event", "shop.customer")
        assert list(Change.objects.order_by("model", "key").values_list("model", "key", "new")) == written
        assert "0 of 2 rows" in record("shop.event", "shop.customer")
    finally:
        run("ALTER TABLE shop_customer DROP COLUMN doc")
        syncing.sync()
