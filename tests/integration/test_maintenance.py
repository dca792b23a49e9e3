"""Maintenance: partitions ahead of the log, old ones dropped, and every reader told that lacks dropped changes."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import itertools
import logging
import threading
import time

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

import pubsubpull
from pubsubpull import conf, exceptions
from pubsubpull.capture import sql
from pubsubpull.delivery import signals
from pubsubpull.log import feed, partitions, walk
from pubsubpull.log.cursor import Cursor
from pubsubpull.models import Change, Request, Subscription
from pubsubpull.operate import maintenance, maintenance_loop, retention_warnings
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests import delivering
from tests.sessions import session
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)
SIZE = 10
DAY = 86400.0


def settings(**given):
    return dataclasses.replace(conf.get(), **{"PARTITION_SIZE": SIZE, **given})


def run(dry_run=False, **given):
    """Do as many passes as it takes for all to be settled; return the last one's report, with all that was done."""
    reports = [maintenance.run(settings(**given), dry_run=dry_run) for _ in range(3)]
    for field in ("made", "dropped", "lapsed"):
        setattr(reports[-1], field, [one for report in reports for one in getattr(report, field)])
    return reports[-1]


def there():
    return partitions.read(feed.present(), "default")


def write(count):
    for n in range(count):
        Customer.objects.create(name=str(n))


def execute(text, *values):
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        return cursor.fetchall() if cursor.description else []


def go_to(id_):
    """Let the next change have this id."""
    execute("SELECT setval('pubsubpull_change_id_seq', %s)", id_ - 1)


def age(upto, seconds):
    execute("UPDATE pubsubpull_change SET at = at - make_interval(secs => %s) WHERE id <= %s", seconds, upto)


@pytest.fixture
def start():
    """Give the id that comes next: the first of a partition of ten, of a log that is empty."""
    execute("TRUNCATE pubsubpull_change, pubsubpull_request, pubsubpull_log")
    run()
    first = partitions.end(there())
    go_to(first)
    run(RETENTION=DAY)
    execute("UPDATE pubsubpull_log SET dropped = 0, dropped_xid = '0'")
    yield first
    maintenance.run(conf.get())


@pytest.fixture
def subscribe():
    consumer = consumers.add("billing", ["shop.customer"], may_subscribe=True)[0]

    def make(name="main", **given):
        wish = service.SubscriptionSpec(**{"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], **given})
        return service.put(consumer, name, wish)[0]

    return make


def test_two_partitions_are_ahead_and_nothing_lands_in_the_default_one(start):
    for _ in range(5):
        write(7)
        maintenance.run(settings())
        last = Change.objects.last().id
        assert len([one for one in there() if one.low > last and not one.spare]) >= 2
    assert there()[-1].newest is None
    ranges = [(one.low, one.high) for one in there()]
    assert all(before[1] == after[0] for before, after in itertools.pairwise(ranges)), "no gap between them"


def test_rows_of_the_default_partition_become_a_partition_without_being_moved(start, caplog):
    go_to(partitions.end(there()))
    cursor = feed.present().cursor()
    write(5)
    assert partitions.overflowed(there())
    (place,) = execute("SELECT tableoid::bigint, ctid FROM pubsubpull_change ORDER BY id DESC LIMIT 1")
    report = run()
    assert "no partition was made ahead" in caplog.text
    assert execute("SELECT tableoid::bigint, ctid FROM pubsubpull_change ORDER BY id DESC LIMIT 1") == [place]
    assert not partitions.overflowed(there())
    assert len(report.made) == 3
    assert feed.page(cursor, limit=100).count == 5
    write(20)
    assert feed.page(cursor, limit=100).count == 25
    assert execute("SELECT conname FROM pg_constraint WHERE conname = 'pubsubpull_change_bound'") == []


def test_a_bound_left_behind_by_a_crash_is_taken_back(start):
    sql.run("default", sql.compose("queries/maintain/bound_default", below=partitions.end(there()) + 3))
    run()
    go_to(partitions.end(there()) + 5)
    write(1)


def test_where_locks_keep_the_default_partition_from_becoming_one_it_is_not_left_bound(start):
    write(1)
    go_to(partitions.end(there()))
    write(5)
    with session() as reader:
        reader.execute("BEGIN")
        reader.execute(
            f"SELECT count(*) FROM pubsubpull_change WHERE id = {start}"
        )  # of the log and its first partition
        report = maintenance.run(settings())
        assert "the default partition" in report.held_up[0]
        assert report.made == []
        reader.execute("COMMIT")
    go_to(partitions.end(there()) + 1000)
    write(1)
    assert run().made
    assert not partitions.overflowed(there())


def test_nothing_is_dropped_unless_an_age_is_set(start):
    write(30)
    age(2**62, 1000 * DAY)
    assert run().dropped == []


def test_partitions_of_which_every_change_is_too_old_are_dropped_with_their_requests(start):
    with pubsubpull.context(source="command", user=None):
        write(5)
    with pubsubpull.context(source="command", user=None):
        write(20)
    age(start + 9, 2 * DAY)
    execute("UPDATE pubsubpull_request SET started = started - make_interval(days => 2)")
    before = Change.objects.count()
    report = run(RETENTION=DAY)
    assert f"pubsubpull_change_p{start}" in report.dropped
    assert Change.objects.count() == before - 10
    assert [Change.objects.first().request_id] == list(Request.objects.values_list("id", flat=True))
    assert execute("SELECT to_regclass(%s)", f"pubsubpull_change_p{start}") == [(None,)]


def test_a_partition_with_one_change_that_is_not_too_old_stays(start):
    write(20)
    age(start + 8, DAY * 1.1)
    run(RETENTION=DAY)
    assert there()[0].low <= start
    assert Change.objects.first().id == start


def test_a_partition_that_an_open_transaction_may_still_write_to_stays(start):
    with session() as slow:
        slow.execute("BEGIN")
        slow.execute("INSERT INTO shop_customer (name, email) VALUES ('slow', '')")
        write(20)
        age(start + 10, 2 * DAY)
        run(RETENTION=DAY)
        slow.execute("COMMIT")
    assert Change.objects.filter(id=start).exists()
    age(start + 10, 2 * DAY)
    run(RETENTION=DAY)
    assert not Change.objects.filter(id__lte=start + 9).exists()


def test_a_quiet_log_is_trimmed_row_by_row(start):
    write(6)
    age(start + 3, 2 * DAY)
    cursor = feed.present().start()
    report = run(RETENTION=DAY)
    assert Change.objects.first().id == start + 4
    assert report.dropped == [] or f"pubsubpull_change_p{start}" not in report.dropped
    with pytest.raises(exceptions.CursorExpired):
        feed.page(cursor, limit=10)
    assert feed.page(None, limit=10).count == 2


def test_a_cursor_older_than_retention_gets_410_unless_it_had_all_deleted_changes(start, client):
    _, token = consumers.add("reader", ["shop.customer"])
    old = feed.present().cursor().encode()
    write(10)
    had = feed.present().cursor().encode()
    write(10)
    age(start + 9, 2 * DAY)
    run(RETENTION=DAY)
    call = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    assert client.get(f"/pubsubpull/changes/?after={old}", **call).status_code == 410
    answer = client.get(f"/pubsubpull/changes/?after={had}", **call)
    assert (answer.status_code, len(answer.json()["items"])) == (200, 10)


def test_a_cursor_taken_while_a_dropped_change_was_being_written_gets_410(start):
    with session() as slow:
        slow.execute("BEGIN")
        slow.execute("INSERT INTO shop_customer (name, email) VALUES ('slow', '')")
        write(12)
        within = feed.present().cursor()
        slow.execute("COMMIT")
    assert within.seq > start + 9
    after = feed.present().cursor()
    write(10)
    age(start + 9, 2 * DAY)
    run(RETENTION=DAY)
    assert feed.page(after, limit=100).count == 10
    with pytest.raises(exceptions.CursorExpired):
        feed.page(within, limit=100)


@pytest.mark.parametrize("read", [feed.page, feed.rows])
def test_a_partition_that_goes_between_the_check_and_the_read_is_not_passed_over_in_silence(start, read):
    cursor = feed.present().cursor()
    write(20)
    age(start + 9, 2 * DAY)
    looked = feed.present()
    run(RETENTION=DAY)
    with pytest.raises(exceptions.CursorExpired):
        read(cursor, limit=100, now=looked)


def test_a_partition_that_goes_between_an_empty_page_and_the_look_beyond_it_is_not_passed_over(start):
    looked = feed.present()
    cursor = dataclasses.replace(looked.cursor(), seq=start - 1, floor=start - 1)
    write(20)
    age(start + 9, 2 * DAY)
    now = feed.present()
    reading = walk.plan(cursor, now)
    reading = dataclasses.replace(reading, high=start - 1)
    run(RETENTION=DAY)
    with pytest.raises(exceptions.CursorExpired):
        walk.end_of(reading, now, empty=True, using="default")


def test_a_reader_has_all_rows_of_a_partition_or_waits_for_it_to_be_gone(start):
    cursor = feed.present().cursor()
    write(20)
    age(start + 9, 2 * DAY)
    looked = feed.present()
    result = []

    def read():
        try:
            result.append(feed.page(cursor, limit=100, now=looked))
        except exceptions.CursorExpired as error:
            result.append(error)
        finally:
            connection.close()

    for _ in range(2):
        sql.run("default", sql.template("queries/feed/settle"))
    cut = partitions.expired(there(), settled=feed.present().settled, before=time.time() - DAY)[0]
    with session() as dropper:
        for earlier in partitions.expired(there(), settled=feed.present().settled, before=time.time() - DAY):
            cut = earlier
            if cut.upto == start + 9:
                break
            assert partitions.detach(cut, "default")
        dropper.execute("BEGIN")
        ((done,),) = dropper.execute(
            "SELECT pubsubpull_detach_partition(%s, %s::text::xid8)", [cut.upto, str(cut.xid)]
        ).fetchall()
        assert done
        reader = threading.Thread(target=read)
        reader.start()
        until_waiting(dropper)
        assert not result, "the reader waits for the partition to be gone or to stay"
        dropper.execute("COMMIT")
        reader.join(60)
    assert isinstance(result[0], exceptions.CursorExpired)


def until_waiting(other, limit=60.0):
    end = time.monotonic() + limit
    while not other.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchall():
        assert time.monotonic() < end, "nobody waits for a lock"


def test_a_writer_waits_no_longer_than_the_lock_time_out(start):
    """With a reader in the way for ever, each attempt gives up after its time-out, and the writer gets through."""
    write(20)
    age(start + 9, 2 * DAY)
    for _ in range(2):
        sql.run("default", sql.template("queries/feed/settle"))
    waits = []
    with session() as reader, session() as writer:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM pubsubpull_change")
        stop = threading.Event()

        def keep_writing():
            while not stop.is_set():
                began = time.monotonic()
                writer.execute("INSERT INTO shop_customer (name, email) VALUES ('w', '')")
                waits.append(time.monotonic() - began)

        thread = threading.Thread(target=keep_writing)
        thread.start()
        report = maintenance.run(settings(RETENTION=DAY))
        stop.set()
        thread.join()
        assert report.held_up
        assert report.dropped == []
        reader.execute("COMMIT")
    assert max(waits) < 20.0, "50 ms by the time-out; the rest is this machine's"
    assert Change.objects.filter(id=start).exists()
    assert run(RETENTION=DAY).dropped


def test_the_lock_time_out_ends_an_attempt(start):
    write(20)
    age(start + 9, 2 * DAY)
    for _ in range(2):
        sql.run("default", sql.template("queries/feed/settle"))
    with session() as reader, session() as dropper, pytest.raises(psycopg.errors.LockNotAvailable):
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM pubsubpull_change")
        upto = there()[0].high - 1
        dropper.execute("SELECT pubsubpull_detach_partition(%s, '0')", [upto])


def test_one_session_at_a_time_does_it(start):
    write(20)
    with session() as other:
        other.execute("BEGIN")
        other.execute("SELECT pg_advisory_xact_lock('pubsubpull_change'::regclass::oid::integer, 1)")
        end = partitions.end(there())
        assert not partitions.make(end, end + SIZE, "default")
        assert partitions.drop_detached("default") is None
        cut = partitions.Cut(upto=there()[0].high - 1, xid=0, partition="p")
        assert not partitions.detach(cut, "default")
        assert partitions.trim(cut, "default") == 0


def test_a_subscription_that_lacks_dropped_changes_is_marked_and_reported(start, subscribe, caplog):
    lagging, keen = subscribe("lagging", paused=True), subscribe("keen")
    told = []
    receive = lambda subscription, error, **_: error and told.append(subscription.name)  # noqa: E731
    signals.subscription_lapsed.connect(receive, weak=False)
    write(10)
    Subscription.objects.filter(pk=keen.pk).update(cursor=feed.present().cursor().encode(), worker=keen.pk)
    write(10)
    age(start + 9, 2 * DAY)
    try:
        report = run(RETENTION=DAY)
    finally:
        signals.subscription_lapsed.disconnect(receive)
    assert [one.name for one in report.lapsed] == told == ["lagging"]
    assert "lagging has not been sent all of" in caplog.text
    lagging.refresh_from_db()
    keen.refresh_from_db()
    assert (lagging.state, keen.state, keen.worker) == ("lapsed", "active", keen.pk)
    assert (lagging.worker, lagging.lease > 0) == (None, True)
    assert "PUT it with instances" in lagging.last_error
    assert subscribe("lagging", after="now").state == "active"


def test_a_receiver_of_the_signal_that_fails_fails_nothing(subscribe, caplog):
    def fail(**_):
        raise ValueError("no")

    signals.subscription_lapsing.connect(fail)
    try:
        retention_warnings.warn(subscribe())
    finally:
        signals.subscription_lapsing.disconnect(fail)
    assert "Changes that it has not been sent are dropped soon" in caplog.text
    assert any(record.exc_info for record in caplog.records if record.levelno == logging.ERROR)


def test_a_subscription_is_lapsing_before_anything_is_dropped(start, subscribe):
    subscribe("lagging", paused=True)
    write(5)
    age(start + 4, DAY * 0.95)
    report = maintenance.run(settings(RETENTION=DAY))
    assert [one.name for one in report.lapsing] == ["lagging"]
    assert report.lapsed == []


def test_a_subscription_of_another_history_or_with_no_cursor_does_not_lapse(start, subscribe):
    subscribe("broken", paused=True)
    other = subscribe("other", paused=True)
    Subscription.objects.filter(name="broken").update(cursor="none")
    elsewhere = dataclasses.replace(Cursor.decode(other.cursor), history=1)
    Subscription.objects.filter(name="other").update(cursor=elsewhere.encode())
    write(20)
    age(start + 9, 2 * DAY)
    assert run(RETENTION=DAY).lapsed == []


def test_the_command_shows_and_does_it(start, subscribe, settings):
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "PARTITION_SIZE": SIZE, "RETENTION": DAY}
    subscribe("lagging", paused=True)
    write(15)
    age(start + 9, 2 * DAY)
    for _ in range(2):
        sql.run("default", sql.template("queries/feed/settle"))
    out, err = io.StringIO(), io.StringIO()
    call_command("pubsubpull_maintain", "--dry-run", stdout=out, stderr=err)
    assert f"would be dropped: pubsubpull_change_p{start}" in out.getvalue()
    assert "would be made: versions" in out.getvalue()
    assert "Nothing was changed." in out.getvalue()
    assert "would be lapsed: lagging" in err.getvalue()
    assert Change.objects.filter(id=start).exists()
    assert Subscription.objects.get().state == "paused"
    out, err = io.StringIO(), io.StringIO()
    call_command("pubsubpull_maintain", stdout=out, stderr=err)
    assert f"dropped: pubsubpull_change_p{start}" in out.getvalue()
    assert "The log is in order." in out.getvalue()
    assert "lapsed: lagging" in err.getvalue()
    assert not Change.objects.filter(id=start).exists()
    assert Subscription.objects.get().state == "lapsed"


def test_the_command_fails_where_locks_are_in_the_way(start, settings):
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "PARTITION_SIZE": SIZE, "RETENTION": DAY}
    write(20)
    age(start + 9, 2 * DAY)
    for _ in range(2):
        sql.run("default", sql.template("queries/feed/settle"))
    with session() as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM pubsubpull_change")
        with pytest.raises(CommandError, match="Other sessions' locks"):
            call_command("pubsubpull_maintain", stdout=io.StringIO())


def test_an_application_without_rights_on_the_log_can_be_given_this_one(start):
    """Maintenance needs no right on the tables, only on the functions."""
    functions = execute(
        "SELECT p.proname, p.prosecdef, has_function_privilege('public', p.oid, 'EXECUTE') FROM pg_proc p "
        "WHERE proname IN ('pubsubpull_make_partition', 'pubsubpull_detach_partition', 'pubsubpull_drop_detached', "
        "'pubsubpull_trim', 'pubsubpull_adopt_default', 'pubsubpull_bound_default', 'pubsubpull_prune_requests')"
    )
    assert len(functions) == 7
    assert {(definer, public) for _, definer, public in functions} == {(True, False)}


def test_a_worker_looks_after_the_log(start, subscribe):
    subscribe("lagging", paused=True)
    write(15)
    age(start + 9, 2 * DAY)
    told = []
    receive = lambda subscription, error, **_: error and told.append(subscription.name)  # noqa: E731
    signals.subscription_lapsed.connect(receive, weak=False)
    try:
        delivering.run(
            lambda _worker, _transport: delivering.until(lambda: "lapsed" in states()),
            PARTITION_SIZE=SIZE,
            RETENTION=DAY,
            MAINTAIN_INTERVAL=0.01,
        )
    finally:
        signals.subscription_lapsed.disconnect(receive)
    assert not Change.objects.filter(id=start).exists()
    assert told == ["lagging"]


def test_a_worker_warns_once_of_a_subscription_that_is_lapsing(start, subscribe):
    subscribe("lagging", paused=True)
    write(5)
    age(start + 4, DAY * 0.95)
    told = []
    receive = lambda subscription, error, **_: error and told.append(subscription.name)  # noqa: E731
    signals.subscription_lapsing.connect(receive, weak=False)
    try:
        asyncio.run(twice(RETENTION=DAY))
    finally:
        signals.subscription_lapsing.disconnect(receive)
    assert told == ["lagging"]


def states():
    return list(Subscription.objects.values_list("state", flat=True))


def test_a_worker_whose_role_may_not_maintain_says_so_once_and_goes_on(start, subscribe, caplog):
    made = subscribe("main")
    execute("ALTER FUNCTION pubsubpull_settle() RENAME TO pubsubpull_settle_away")
    try:
        asyncio.run(twice())
    finally:
        execute("ALTER FUNCTION pubsubpull_settle_away() RENAME TO pubsubpull_settle")
    assert caplog.text.count("cannot be looked after") == 1
    assert made.state == "active"


async def twice(**given):
    one = maintenance_loop.Upkeep(settings=settings(**given))
    try:
        await one.run_once()
        await one.run_once()
    finally:
        await one.close()


def test_the_command_warns_of_lapsing_subscriptions_and_reports_deletions(start, subscribe, settings):
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "PARTITION_SIZE": SIZE, "RETENTION": DAY}
    subscribe("lagging", paused=True)
    with pubsubpull.context(source="command", user=None):
        write(3)
    age(start + 2, DAY * 0.95)
    execute("UPDATE pubsubpull_request SET started = started - make_interval(days => 2)")
    told = []
    receive = lambda subscription, **_: told.append(subscription.name)  # noqa: E731
    signals.subscription_lapsing.connect(receive, weak=False)
    err = io.StringIO()
    try:
        call_command("pubsubpull_maintain", "--dry-run", stdout=io.StringIO(), stderr=err)
        call_command("pubsubpull_maintain", stdout=io.StringIO(), stderr=err)
    finally:
        signals.subscription_lapsing.disconnect(receive)
    assert err.getvalue().count("lapsing: lagging") == 2
    assert told == ["lagging"], "a dry run tells nobody else"
    age(start + 2, DAY)
    out = io.StringIO()
    call_command("pubsubpull_maintain", stdout=out, stderr=io.StringIO())
    call_command("pubsubpull_maintain", stdout=out, stderr=io.StringIO())
    assert "deleted: 3 changes, 1 requests" in out.getvalue()


def test_the_command_shows_the_databases_message(settings):
    execute("ALTER FUNCTION pubsubpull_settle() RENAME TO pubsubpull_settle_away")
    try:
        with pytest.raises(CommandError, match="pubsubpull_settle"):
            call_command("pubsubpull_maintain", stdout=io.StringIO())
    finally:
        execute("ALTER FUNCTION pubsubpull_settle_away() RENAME TO pubsubpull_settle")


def test_a_pass_skips_work_that_another_pass_is_doing(start):
    """Another session holds the lock that makes them take turns: nothing is done, and no session waits."""
    write(20)
    age(start + 9, 2 * DAY)
    for _ in range(2):
        sql.run("default", sql.template("queries/feed/settle"))
    with session() as other:
        other.execute("BEGIN")
        other.execute("SELECT pg_advisory_xact_lock('pubsubpull_change'::regclass::oid::integer, 1)")
        report = maintenance.run(settings(RETENTION=DAY))
    assert (report.made, report.dropped, report.trimmed, report.held_up) == ([], [], 0, [])
    assert Change.objects.filter(id=start).exists()
