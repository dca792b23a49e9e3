"""Ticks and histories: when a snapshot is written down, and when a new history begins."""

from __future__ import annotations

import dataclasses

import pytest
from django.db import OperationalError, connection, transaction

from pubsubpull import exceptions
from pubsubpull.log import feed
from tests.processes import until
from tests.sessions import session
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)
GIVEN = {"limit": 10, "models": ["shop.customer"]}


def run(text, params=None):
    with connection.cursor() as cursor:
        cursor.execute(text, params)
        return cursor.fetchall() if cursor.description else []


def ticks():
    return run("SELECT count(*) FROM pubsubpull_tick")[0][0]


def add(other, name):
    other.execute("INSERT INTO shop_customer (name, email) VALUES (%s, '')", (name,))


def quiet():
    """Return the present at a moment without any writer on this server."""
    found = []
    until(lambda: found.append(feed.present()) or found[-1].floor == found[-1].seq)
    return found[-1]


def come(cursor):
    """Return how many changes there are after a cursor, and the cursor behind them."""
    page = feed.page(cursor, **GIVEN)
    return page.count, page.cursor


def test_where_nothing_has_come_the_newest_tick_is_the_present_and_nothing_is_written():
    before, count = quiet(), ticks()
    run("CREATE TABLE other (id int)")
    try:
        for _ in range(3):
            run("INSERT INTO other VALUES (1)")  # a transaction, but none of the log
            assert feed.present().tick == before.tick
    finally:
        run("DROP TABLE other")
    assert ticks() == count
    Customer.objects.create(name="a")
    assert feed.present().tick > before.tick
    assert ticks() > count


def test_a_transaction_that_is_open_makes_ticks_only_where_others_have_committed():
    before = quiet()
    with session() as slow:
        slow.execute("BEGIN")
        add(slow, "slow")
        assert feed.present().tick == before.tick, "it has taken an id, and nothing can be seen"
        Customer.objects.create(name="quick")
        seen = feed.present()
        assert seen.tick > before.tick
        run("SELECT pg_current_xact_id()")  # a transaction that ends, and has written nothing
        assert feed.present().tick == seen.tick
        slow.execute("COMMIT")
    assert feed.present().tick > seen.tick
    assert come(seen.cursor())[0] == 1


def test_rolled_back_changes_make_one_tick_at_most():
    quiet()
    with session() as other:
        other.execute("BEGIN")
        add(other, "undone")
        other.execute("ROLLBACK")
    after, count = quiet(), ticks()
    for _ in range(3):
        assert feed.present().tick == after.tick
    assert ticks() == count


@pytest.mark.parametrize("begin", ["BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN READ ONLY"])
def test_a_transaction_that_cannot_make_a_tick_serves_the_newest_that_it_sees(begin):
    before = quiet()
    with session() as reader:
        reader.execute(begin)
        reader.execute("SELECT 1")
        Customer.objects.create(name="a")
        ((tick, standby),) = reader.execute("SELECT tick, standby FROM pubsubpull_present()").fetchall()
        assert (tick, standby) == (before.tick, True)
        reader.execute("ROLLBACK")
    assert feed.present().tick > before.tick


def test_a_log_without_a_tick_gives_a_remedy_on_a_standby():
    run("TRUNCATE pubsubpull_tick, pubsubpull_history")
    with session() as reader:
        reader.execute("BEGIN READ ONLY")
        with pytest.raises(Exception, match="no tick yet") as raised:
            reader.execute("SELECT * FROM pubsubpull_present()")
    assert "delivery worker" in raised.value.diag.message_hint
    feed.present()


def test_a_transactions_own_changes_come_once_it_is_committed():
    start = quiet().cursor()
    with transaction.atomic():
        Customer.objects.create(name="own")
        with session() as other:
            add(other, "other's")
        within = feed.present().cursor()
        assert come(start)[0] == 1
    assert come(within)[0] == 1
    assert come(start)[0] == 2


@pytest.mark.parametrize(("given", "used"), [("off", "on"), ("local", "on"), ("remote_write", "remote_write")])
def test_a_tick_waits_for_the_disk_whatever_the_session_says(given, used):
    quiet()
    with session() as reader:
        Customer.objects.create(name="a")
        reader.execute(f"SET synchronous_commit = '{given}'")
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM pubsubpull_present()")
        assert reader.execute("SHOW synchronous_commit").fetchone()[0] == used
        reader.execute("COMMIT")
        assert reader.execute("SHOW synchronous_commit").fetchone()[0] == given


MARKS = {
    "an empty marker": "TRUNCATE pubsubpull_alive",
    "another start of the server": "UPDATE pubsubpull_alive SET started = started - interval '1 s'",
    "a row that another transaction wrote, as a dump's": "UPDATE pubsubpull_alive SET written = written",
}


@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS)
def test_a_new_history_begins_after_the_newest_tick_and_earlier_cursors_go_on(mark):
    Customer.objects.create(name="before")
    old = quiet()
    Customer.objects.create(name="between")
    run(mark)
    new = feed.present()
    assert new.history != old.history
    assert new.past[old.history] >= old.tick
    assert come(old.cursor())[0] == 1
    beyond = dataclasses.replace(old.cursor(), tick=new.past[old.history] + 1)
    for _ in range(2):
        with pytest.raises(exceptions.CursorExpired, match="went back"):
            feed.page(beyond, **GIVEN)
        for n in range(3):
            Customer.objects.create(name=str(n))
    assert feed.present().history == new.history, "it is begun once"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE pubsubpull_history SET written = written + 1",
        "UPDATE pubsubpull_history SET log = 1",
        "UPDATE pubsubpull_tick SET top = top + 1000",
        "UPDATE pubsubpull_tick SET n = n + 10 ^ 12",
        "UPDATE pubsubpull_tick SET snapshot = '9000000000:9000000000:'",
        "TRUNCATE pubsubpull_log",
    ],
)
def test_a_log_that_did_not_come_about_here_counts_all_its_rows_as_visible_and_knows_no_cursor(change):
    Customer.objects.create(name="before")
    old = quiet()
    run("UPDATE pubsubpull_change SET xid = '9000000000'")
    run("TRUNCATE pubsubpull_alive")
    run(change)
    new = feed.present()
    assert (new.past, new.restored >= old.seq) == ({}, True)
    with pytest.raises(exceptions.CursorExpired, match="another history"):
        feed.page(old.cursor(), **GIVEN)
    assert come(None)[0] == 1
    Customer.objects.create(name="after")
    assert come(new.cursor())[0] == 1


def test_two_that_look_at_once_begin_one_history(monkeypatch):
    old = quiet()
    run("TRUNCATE pubsubpull_alive")
    with session() as first:
        first.execute("BEGIN")
        ((begun,),) = first.execute("SELECT history FROM pubsubpull_present()").fetchall()
        with pytest.raises(OperationalError, match="lock timeout"):
            feed.present()
        first.execute("COMMIT")
    assert feed.present().history == begun != old.history
    assert run("SELECT count(*) FROM pubsubpull_history WHERE token = %s", [begun]) == [(1,)]


def test_a_history_that_is_begun_within_a_savepoint_lasts():
    run("TRUNCATE pubsubpull_alive")
    with transaction.atomic(), transaction.atomic():
        begun = feed.present().history
    assert feed.present().history == begun
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        run("TRUNCATE pubsubpull_alive")
        assert feed.present().history != begun
        raise ZeroDivisionError
    assert feed.present().history == begun, "what was taken back is no history"


def test_unneeded_ticks_are_deleted_and_the_newest_stays():
    cursor = quiet().cursor()
    Customer.objects.create(name="a")
    newest = quiet()
    run("UPDATE pubsubpull_tick SET at = at - interval '2 minutes'")
    run("SELECT pubsubpull_settle()")
    assert run("SELECT n FROM pubsubpull_tick") == [(newest.tick,)]
    assert come(cursor)[0] == 1, "a cursor carries its own snapshot"


def test_a_standby_waits_for_late_changes_and_reports_lost_ones():
    """A cursor of a history that the standby has not replayed yet, of a passed one, and of a lost end."""
    now = quiet()
    standby = dataclasses.replace(now, standby=True, past={5: now.tick - 10})
    cursor = now.cursor()
    ahead = dataclasses.replace(cursor, history=7, tick=now.tick + 1)
    assert feed.page(ahead, now=standby, **GIVEN).cursor == ahead
    with pytest.raises(exceptions.CursorExpired, match="another history"):
        feed.page(dataclasses.replace(cursor, history=7), now=standby, **GIVEN)
    with pytest.raises(exceptions.CursorExpired, match="went back"):
        feed.page(dataclasses.replace(cursor, history=5, tick=now.tick - 9), now=standby, **GIVEN)
    assert feed.page(dataclasses.replace(cursor, history=5, tick=now.tick - 10), now=standby, **GIVEN).count == 0


def test_of_two_ticks_made_at_once_a_standby_takes_no_reader_back_to_the_one_that_had_seen_less():
    now = quiet()
    Customer.objects.create(name="a")
    more = quiet()
    less = dataclasses.replace(now, standby=True, tick=more.tick + 1)
    assert feed.page(more.cursor(), now=less, **GIVEN).cursor == more.cursor()
