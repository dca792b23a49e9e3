"""The feed between two moments, shown with connections that are made to wait for each other."""

from __future__ import annotations

import dataclasses
import json
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.utils.connection import ConnectionDoesNotExist
from psycopg import sql as psql

from pubsubpull import exceptions
from pubsubpull.capture import sql
from pubsubpull.log import feed, walk
from pubsubpull.log.cursor import Cursor
from pubsubpull.log.present import Present
from tests.processes import until
from tests.sessions import session
from tests.shop.models import Customer, Order

pytestmark = pytest.mark.django_db(transaction=True)


def add(other, name):
    other.execute("INSERT INTO shop_customer (name, email) VALUES (%s, '')", (name,))


def names(page):
    return [
        (item["new"] or item["old"])["name"]
        for item in json.loads(f"[{page.items.decode()}]")
        if item["op"] != "truncate"
    ]


def drain(cursor, limit=1000, models=None):
    """Read pages until there is no more; return the names and the last cursor."""
    found = []
    for _ in range(1000):
        page = feed.page(cursor, limit=limit, models=models)
        found += names(page)
        cursor = Cursor.decode(page.cursor.encode())
        if not page.more:
            return found, cursor
    raise AssertionError("the feed does not end")


def now():
    return feed.present().cursor()


def test_an_id_taken_before_and_committed_after_is_not_lost():
    start = now()
    with session() as slow, session() as quick:
        slow.execute("BEGIN")
        add(slow, "slow")
        add(quick, "quick")
        first, cursor = drain(start)
        slow.execute("COMMIT")
    second, _ = drain(cursor)
    assert (first, second) == (["quick"], ["slow"])


def test_a_running_transaction_above_the_snapshots_xmax_is_not_lost():
    with session() as running:
        running.execute("BEGIN")
        add(running, "running")
        cursor = now()
        ((xid,),) = running.execute("SELECT pg_current_xact_id()::text::bigint").fetchall()
        assert cursor.snapshot.xmax <= xid, "the transaction should be one that the snapshot does not list"
        assert cursor.seq > 0
        running.execute("COMMIT")
    assert drain(cursor)[0] == ["running"]


def test_a_transaction_left_open_holds_back_nothing():
    cursor = now()
    with session() as idle:
        idle.execute("BEGIN")
        add(idle, "open")
        for n in range(5):
            Customer.objects.create(name=str(n))
            found, cursor = drain(cursor)
            assert found == [str(n)]
        idle.execute("COMMIT")
    assert drain(cursor)[0] == ["open"]


def test_a_cursor_from_a_version_gets_later_changes_and_those_uncommitted_then():
    with session() as slow, session() as quick:
        slow.execute("BEGIN")
        add(slow, "on its way")
        for name in "abc":
            add(quick, name)
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM pubsubpull_change WHERE new->>'name' = 'b'")
            version = cursor.fetchone()[0]
        back = feed.present().after(version)
        slow.execute("COMMIT")
    given = {"limit": 10, "models": ["shop.customer"]}
    first = feed.page(back, **given)
    assert (first.count, first.more) == (1, True), "what was on its way has come since"
    assert drain(first.cursor)[0] == ["on its way"]
    assert drain(back)[0] == ["c", "on its way"]


def test_a_cursor_from_the_last_version_or_beyond_is_up_to_date():
    Customer.objects.create(name="a")
    present = feed.present()
    assert present.after(present.top) == present.cursor()
    assert present.after(0).window.last == present.dropped


def test_a_transaction_is_never_split_between_two_reads():
    cursor = now()
    with session() as writer:
        writer.execute("BEGIN")
        add(writer, "a")
        assert drain(cursor)[0] == []
        add(writer, "b")
        found, cursor = drain(cursor)
        assert found == []
        writer.execute("COMMIT")
    assert drain(cursor)[0] == ["a", "b"]


def test_a_rolled_back_change_never_appears():
    cursor = now()
    with session() as writer:
        writer.execute("BEGIN")
        add(writer, "a")
        writer.execute("SAVEPOINT s")
        add(writer, "b")
        writer.execute("ROLLBACK TO s")
        _, cursor = drain(cursor)
        writer.execute("COMMIT")
    assert drain(cursor)[0] == ["a"]


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_pages_of_any_size_give_every_change_once_in_order(limit):
    cursor = now()
    with session() as slow:
        slow.execute("BEGIN")
        for n in range(4):
            add(slow, f"slow {n}")
            Customer.objects.create(name=f"quick {n}")
        first, cursor = drain(cursor, limit)
        add(slow, "slow 4")
        slow.execute("COMMIT")
    Customer.objects.create(name="late")
    second, cursor = drain(cursor, limit)
    assert first == [f"quick {n}" for n in range(4)]
    assert second == [*(f"slow {n}" for n in range(5)), "late"]
    assert drain(cursor, limit) == ([], now())


def test_a_page_within_a_window_is_the_same_however_often_it_is_read():
    start = now()
    Customer.objects.bulk_create(Customer(name=str(n)) for n in range(6))
    first = feed.page(start, limit=2)
    second = feed.page(first.cursor, limit=2)
    Customer.objects.create(name="after")
    assert feed.page(first.cursor, limit=2) == second
    third = feed.page(second.cursor, limit=2)
    assert names(third) == ["4", "5"]
    assert drain(third.cursor)[0] == ["after"]


def test_a_reader_of_a_quiet_model_gets_on_past_a_busy_one():
    start = now()
    Customer.objects.bulk_create(Customer(name=str(n)) for n in range(walk.SCAN + 5))
    page = feed.page(start, limit=10, models=["shop.place"])
    assert (page.count, page.more) == (0, True)
    page = feed.page(page.cursor, limit=10, models=["shop.place"])
    assert (page.count, page.more) == (0, False)


def test_where_nothing_was_written_since_nothing_is_looked_for():
    """The present alone tells: a database that is not there is not asked."""
    Customer.objects.create(name="before")
    present = feed.present()
    page = feed.page(present.cursor(), limit=10, now=present, using="nowhere")
    assert (page.count, page.more, page.cursor) == (0, False, present.cursor())
    rows = feed.rows(present.cursor(), limit=10, now=present, using="nowhere")
    assert (rows.rows, rows.more, rows.cursor) == ((), False, present.cursor())
    Customer.objects.create(name="after")
    with pytest.raises(ConnectionDoesNotExist):
        feed.page(present.cursor(), limit=10, now=feed.present(), using="nowhere")


def test_more_gaps_than_a_page_goes_beyond_are_several_pages_and_no_error():
    gap = "SELECT setval('pubsubpull_change_id_seq', last_value + %s) FROM pubsubpull_change_id_seq"
    cursor = now()
    with connection.cursor() as other:
        for _ in range(walk.GAPS * 2):
            other.execute(gap, [walk.SCAN])
            Order.objects.create()
    Customer.objects.create(name="beyond")
    page = feed.page(cursor, limit=10, models=["shop.customer"])
    assert (page.count, page.more) == (0, True)
    read = feed.rows(cursor, limit=10, models=["shop.customer"])
    assert (read.rows, read.more) == ((), True)
    while page.more:
        page = feed.page(page.cursor, limit=10, models=["shop.customer"])
    assert names(page) == ["beyond"]


def test_a_page_reports_more_if_changes_committed_after_its_window_began():
    cursor = now()
    Customer.objects.create(name="a")
    Customer.objects.create(name="b")
    given = {"limit": 1, "models": ["shop.customer"]}
    first = feed.page(cursor, **given)
    Customer.objects.create(name="c")
    second = feed.page(first.cursor, **given)
    assert (second.count, second.more) == (1, True)
    assert feed.rows(first.cursor, **given).more
    third = feed.page(second.cursor, **given)
    assert (third.count, third.more) == (1, False)
    assert b'"c"' in third.items


def test_a_gap_in_the_ids_costs_one_look():
    start = now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval('pubsubpull_change_id_seq', nextval('pubsubpull_change_id_seq') + 1000000000)")
    Customer.objects.create(name="beyond")
    assert names(feed.page(start, limit=10)) == ["beyond"]
    assert [row.model for row in feed.rows(start, limit=10).rows] == ["shop.customer"]


def test_rows_give_the_same_as_a_page_change_by_change():
    start = now()
    Customer.objects.bulk_create(Customer(name=str(n)) for n in range(5))
    present = feed.present()
    page, rows = feed.page(start, limit=3, now=present), feed.rows(start, limit=3, now=present)
    assert ",".join(row.item for row in rows.rows) == page.items.decode()
    assert (rows.cursor, rows.more) == (page.cursor, page.more)
    assert {(row.model, row.op) for row in rows.rows} == {("shop.customer", "I")}


def test_without_a_cursor_the_log_is_read_from_its_start():
    Customer.objects.create(name="a")
    assert "a" in drain(None)[0]


def test_a_log_that_was_restored_elsewhere_has_a_new_history_and_keeps_its_rows():
    Customer.objects.create(name="before")
    old = now()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pubsubpull_history SET system_identifier = 1")
        cursor.execute("DELETE FROM pubsubpull_alive")
        cursor.execute("UPDATE pubsubpull_change SET xid = '9000000000'")
    with pytest.raises(exceptions.CursorExpired, match="another history"):
        feed.page(old, limit=1)
    assert "before" in drain(None)[0]
    cursor = now()
    assert cursor.history != old.history
    Customer.objects.create(name="after")
    assert drain(cursor)[0] == ["after"]


def test_a_restored_log_does_not_begin_a_history_while_a_transaction_writes():
    with session() as writer:
        writer.execute("BEGIN")
        add(writer, "a")
        with connection.cursor() as cursor:
            cursor.execute("UPDATE pubsubpull_alive SET database = 1")
            cursor.execute("UPDATE pubsubpull_history SET database = 1")
        with pytest.raises(Exception, match="lock timeout"):
            feed.present()
        writer.execute("COMMIT")
    assert drain(now())[0] == []


def test_a_cursor_from_the_future_has_expired():
    cursor = now()
    future = dataclasses.replace(cursor, tick=cursor.tick + 2**40)
    with pytest.raises(exceptions.CursorExpired, match="went back"):
        feed.page(future, limit=1)


def test_a_cursor_older_than_the_log_has_expired():
    cursor = now()
    Customer.objects.create(name="dropped")
    with connection.cursor() as other:
        other.execute("DELETE FROM pubsubpull_change")
        other.execute("UPDATE pubsubpull_log SET dropped = (SELECT last_value FROM pubsubpull_change_id_seq)")
    Customer.objects.create(name="kept")
    with pytest.raises(exceptions.CursorExpired, match="older than"):
        feed.page(cursor, limit=1)
    assert drain(None)[0] == ["kept"]


def test_the_settled_id_moves_only_past_transactions_that_have_ended():
    def settle():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pubsubpull_settle()")
            return cursor.fetchone()[0]

    start = now()
    with session() as writer:
        writer.execute("BEGIN")
        add(writer, "slow")
        reached = feed.present().seq
        settle()
        assert settle() < reached
        cursor = now()
        writer.execute("COMMIT")
    settle()
    assert settle() >= reached
    assert drain(cursor)[0] == ["slow"], "a cursor goes by what was settled when it was taken"
    assert drain(start)[0] == ["slow"]
    assert drain(now())[0] == []


def test_a_transaction_that_begins_while_the_settled_id_moves_is_waited_for():
    """Its own id comes after that of the transaction which moves it, and the change's id before it is noted."""
    call, waits = "SELECT pubsubpull_settle()", "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
    Customer.objects.create(name="before")
    with session() as holder, session() as mover, session() as writer, ThreadPoolExecutor() as pool:
        holder.execute(call)
        holder.execute("BEGIN")
        holder.execute("SELECT FROM pubsubpull_log FOR UPDATE")
        moving = pool.submit(mover.execute, call)
        until(lambda: holder.execute(waits, [mover.info.backend_pid]).fetchone()[0])
        writer.execute("BEGIN")
        add(writer, "slow")
        holder.execute("ROLLBACK")
        moving.result(timeout=30)
        assert mover.execute(call).fetchone()[0] < feed.present().seq
        writer.execute("COMMIT")


def test_a_settled_row_that_was_seen_is_not_given_again():
    cursor = now()
    Customer.objects.create(name="a")
    seen = dataclasses.replace(cursor, snapshot=now().snapshot)
    with connection.cursor() as other:
        other.execute("UPDATE pubsubpull_log SET settled = (SELECT last_value FROM pubsubpull_change_id_seq)")
    assert drain(seen)[0] == []


def quiet():
    """Return the present at a moment without any writer on this server."""
    found = []
    until(lambda: found.append(feed.present()) or found[-1].floor == found[-1].seq)
    return found[-1]


def test_without_writers_the_cursor_is_settled():
    Customer.objects.create(name="a")
    cursor = quiet().cursor()
    assert cursor.settled
    assert cursor.floor > 0
    with session() as running:
        running.execute("BEGIN")
        add(running, "running")
        Customer.objects.create(name="other")
        inside = now()
        assert inside.seq > cursor.seq
        assert not inside.settled, "its id is one that the cursor is beyond"
        add(running, "again")
        running.execute("COMMIT")
    assert drain(inside)[0] == ["running", "again"]
    assert drain(cursor)[0] == ["running", "other", "again"]


def test_a_writing_transaction_is_not_told_that_there_are_no_writers():
    """In one message the statement's time is the transaction's, as in a first statement."""
    quiet()
    Customer.objects.create(name="other")
    with session() as writer:
        insert = "INSERT INTO shop_customer (name, email) VALUES ('own', '')"
        writer.execute(f"BEGIN; {insert}; CREATE TEMPORARY TABLE seen AS SELECT seq, floor FROM pubsubpull_present()")
        ((seq, floor),) = writer.execute("SELECT seq, floor FROM seen").fetchall()
        writer.execute("COMMIT")
    assert seq == now().seq
    assert floor < seq


def test_only_the_first_present_of_a_transaction_reports_no_writers():
    """Later it is told the count of the first, also within one statement."""
    quiet()
    with session() as reader, session() as writer:
        reader.execute("""
            CREATE FUNCTION pg_temp.twice() RETURNS TABLE (seq bigint, floor bigint) LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM FROM pubsubpull_present();
                PERFORM pg_advisory_lock(4711);
                RETURN QUERY SELECT p.seq, p.floor FROM pubsubpull_present() AS p;
            END $$""")
        writer.execute("SELECT pg_advisory_lock(4711)")
        with ThreadPoolExecutor(1) as thread:
            read = thread.submit(lambda: reader.execute("SELECT * FROM pg_temp.twice()").fetchall())
            until(
                lambda: writer.execute("SELECT count(*) FROM pg_locks WHERE objid = 4711 AND NOT granted").fetchone()[0]
            )
            writer.execute("BEGIN")
            add(writer, "unseen")
            Customer.objects.create(name="other")
            writer.execute("SELECT pg_advisory_unlock(4711)")
            ((seq, floor),) = read.result(60)
        writer.execute("COMMIT")
    assert seq == now().seq
    assert floor < seq


def test_a_statement_made_expensive_is_not_compiled():
    """Before PostgreSQL 18 a plan that is advised against costs so much that it is worth a compiler's time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname, proconfig FROM pg_proc WHERE proname LIKE 'pubsubpull%' AND proconfig IS NOT NULL"
        )
        advised = {
            name: options for name, options in cursor.fetchall() if any(one.startswith("enable_") for one in options)
        }
    assert "pubsubpull_poll" in advised
    assert [name for name, options in advised.items() if "jit=off" not in options] == []


def test_a_writer_has_its_transaction_id_before_a_change_id():
    """Between the two, the present would take the id for settled."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname, s FROM pg_proc, replace(prosrc, '\"public\".', '') AS s "
            "WHERE s LIKE '%INSERT INTO pubsubpull_change (%'"
        )
        writers = dict(cursor.fetchall())
    assert len(writers) >= 8
    for name, source in writers.items():
        takes = source.index("INSERT INTO pubsubpull_change")
        of_rows_here = "old_rows" in source or "new_rows" in source  # which the transaction has written
        imported = "INTO pubsubpull_change (id" in source
        assert of_rows_here or imported or "pg_current_xact_id()" in source[:takes], name


def test_a_transactions_first_snapshot_settles_nothing():
    """It has counted the transactions once and is told the same ever after."""
    quiet()
    with session() as reader, session() as writer:
        reader.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        reader.execute("SELECT age('3'::xid)")
        writer.execute("BEGIN")
        add(writer, "unseen")
        Customer.objects.create(name="other")
        ((seq, floor),) = reader.execute("SELECT seq, floor FROM pubsubpull_present()").fetchall()
        writer.execute("COMMIT")
    assert seq == now().seq
    assert floor < seq


def test_changes_found_with_the_present_are_the_page():
    cursor = quiet().cursor()
    kept = Customer.objects.create(name="kept")
    Order.objects.create()
    kept.name = 'renamed "so"'
    kept.save()
    Customer.objects.create(name="gone").delete()
    for models in (["shop.customer"], ["shop.order", "shop.customer"], ["shop.place"], []):
        for old in (True, False):
            given = {"models": models, "old": old, "limit": 10}
            present, page = feed.poll(cursor, **given)
            assert page == feed.page(cursor, now=present, **given)
            assert page.count == sum({"shop.customer": 4, "shop.order": 1}.get(model, 0) for model in models)


def test_changes_between_the_cursors_id_and_its_snapshot_are_not_read_again():
    """Its id is above the cursor's, which it has seen."""
    before = quiet()
    Customer.objects.create(name="seen")
    cursor = dataclasses.replace(quiet().cursor(), seq=before.seq, floor=before.seq)
    Customer.objects.create(name="new")
    _, page = feed.poll(cursor, models=["shop.customer"], limit=10)
    assert page.count == 1
    assert b'"new"' in page.items


def test_with_the_present_only_quickly_read_changes_are_found():
    cursor = quiet().cursor()
    given = {"models": ["shop.customer"], "limit": 2}
    assert feed.poll(cursor, **given)[1] is None, "there is nothing"
    Customer.objects.create(name="a")
    Customer.objects.create(name="b")
    assert feed.poll(cursor, **given)[1].count == 2
    assert feed.poll(None, **given)[1] is None
    assert feed.poll(cursor, **given, compact=True)[1] is None
    unsettled = dataclasses.replace(cursor, floor=cursor.seq - 1)
    assert feed.poll(unsettled, **given)[1] is None, "stragglers may be below it"
    Customer.objects.create(name="c")
    assert feed.poll(cursor, **given)[1] is None, "it is more than a page"
    Customer.objects.bulk_create(Customer(name=str(n)) for n in range(feed.POLLED_IDS - 3))
    given["limit"] = 1000
    assert feed.poll(cursor, **given)[1].count == feed.POLLED_IDS
    Customer.objects.create(name="d")
    assert feed.poll(cursor, **given)[1] is None, "so many are not read with each look"
    assert len(drain(cursor)[0]) == feed.POLLED_IDS + 1
    last = quiet().cursor()
    Customer.objects.create(name="small", email="x" * 1000)
    assert feed.poll(last, **given)[1].count == 1
    large = Customer.objects.create(name="large", email=secrets.token_hex(2000))
    assert feed.poll(last, **given)[1] is None, "pages are not measured here"
    last = quiet().cursor()
    large.delete()
    assert feed.poll(last, **given)[1] is None, "the row before is large"


def test_with_the_present_nothing_is_found_where_a_part_of_the_log_is_gone():
    """The call may be beyond that by another cursor of its own."""
    cursor = quiet().cursor()
    Customer.objects.create(name="a")
    with connection.cursor() as other:
        other.execute("UPDATE pubsubpull_log SET dropped = %s", [cursor.seq + 1])
    try:
        assert feed.poll(cursor, models=["shop.customer"], limit=10)[1] is None
    finally:
        with connection.cursor() as other:
            other.execute("UPDATE pubsubpull_log SET dropped = 0")


def test_a_change_from_before_a_restore_is_not_looked_for_by_its_transaction():
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pubsubpull_log SET restored = %s", [now().seq + 100])
    try:
        start = quiet().cursor()
        Customer.objects.create(name="a")
        assert feed.poll(start, models=["shop.customer"], limit=10)[1] is None
    finally:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE pubsubpull_log SET restored = 0")


def test_a_server_that_lags_gives_nothing_and_the_same_cursor():
    start = now()
    behind = Present(**{**vars(feed.present()), "standby": True})
    Customer.objects.create(name="a")
    ahead = now()
    rows = feed.rows(ahead, limit=5, now=behind)
    assert (rows.rows, rows.cursor, rows.more) == ((), ahead, False)
    assert rows.cursor_after(1) == ahead
    assert feed.page(ahead, limit=5, now=behind).cursor == ahead
    assert start != ahead


def test_stragglers_are_found_by_their_transaction_whatever_statistics_say():
    """After a load in one transaction they say that any transaction wrote the whole log."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO shop_customer (name, email) SELECT n, '' FROM generate_series(1, 20000) AS n")
        cursor.execute("ANALYZE pubsubpull_change")
    query = sql.template("queries/feed/ended").format(wanted=psql.SQL("model = ANY(%(models)s)"))
    given = {"models": ["shop.customer"], "last": 0, "floor": 0, "seq": 2**62, "limit": 1000, "ended": ["9999999"]}
    plan = json.dumps(sql.run("default", psql.SQL("EXPLAIN (FORMAT JSON) ") + query, given))
    assert "_xid_id_idx" in plan
    assert "_pkey" not in plan
