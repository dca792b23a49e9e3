"""The disasters' short forms, and each number that a crash would give out twice; `make disasters` has the long ones."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys

import psycopg
import pytest

from example import local_postgres
from tests.disasters import failovers, readers, servers, standbys
from tests.processes import ROOT

pytestmark = pytest.mark.acceptance

UNFLUSHED = {"synchronous_commit": "on", "wal_writer_delay": "10s", "max_prepared_transactions": "5"}
"""Nothing is flushed but by a commit that waits for it."""
READ = """
import django, json, sys
django.setup()
from pubsubpull.log import feed
from pubsubpull.log.cursor import Cursor
after = Cursor.decode(sys.argv[1]) if len(sys.argv) > 1 else feed.present().cursor()
page = feed.page(after, limit=1000)
print(json.dumps({"names": [item["new"]["name"] for item in json.loads(f"[{page.items.decode()}]")],
                  "cursor": page.cursor.encode()}))
"""


def read(server, *cursor):
    """Read after a cursor, or take one."""
    code, printed = readers.python(server, "-c", READ, *cursor)
    assert code == 0, printed
    return json.loads(printed.splitlines()[-1])


@pytest.fixture(scope="module")
def server():
    with local_postgres.own_server("unflushed", UNFLUSHED) as one:
        readers.manage(one, "migrate", "-v0")
        yield one


def add(connection, name):
    connection.execute("INSERT INTO shop_customer (name, email) VALUES (%s, '')", (name,))


def write(server, name, commit="on"):
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"SET synchronous_commit = {commit}")
        add(connection, name)


def crash(server):
    servers.crash(server)
    server.start()


@pytest.mark.parametrize("ids", [1, 40])
def test_readers_never_meet_reused_ids_of_rolled_back_changes(server, ids):
    """A rollback is not flushed: its transaction's number, and past 32 its ids, came again after a crash."""
    write(server, "before")
    with psycopg.connect(server.url()) as connection:
        for n in range(ids):
            add(connection, f"undone {n}")
        connection.rollback()
    write(server, "lost or not", commit="off")  # which the reader is to see, so that it has something to pass
    cursor = read(server)["cursor"]
    crash(server)
    for n in range(3):
        write(server, f"after {n}")
    assert read(server, cursor)["names"] == ["after 0", "after 1", "after 2"]


def test_an_asynchronous_commit_is_durable_once_a_reader_has_seen_it(server):
    start = read(server)["cursor"]
    write(server, "in no hurry", commit="off")
    seen = read(server, start)
    assert seen["names"] == ["in no hurry"]
    crash(server)
    write(server, "after")
    assert read(server, seen["cursor"])["names"] == ["after"]
    assert read(server, start)["names"] == ["in no hurry", "after"]


def test_a_transaction_lost_in_a_crash_hides_no_change_of_other_transactions(server):
    with contextlib.closing(psycopg.connect(server.url())) as running:
        add(running, "running")
        write(server, "quick")
        cursor = read(server)["cursor"]
        servers.crash(server)
    server.start()
    write(server, "after")
    assert read(server, cursor)["names"] == ["after"]


def test_a_prepared_transaction_outlives_a_crash_and_comes_once(server):
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("BEGIN")
        add(connection, "prepared")
        connection.execute("PREPARE TRANSACTION 'one'")
    write(server, "quick")
    cursor = read(server)["cursor"]
    crash(server)
    write(server, "after")
    first = read(server, cursor)
    assert first["names"] == ["after"]
    servers.execute(server, "COMMIT PREPARED 'one'")
    assert read(server, first["cursor"])["names"] == ["prepared"]
    assert sorted(read(server, cursor)["names"]) == ["after", "prepared"]


def test_readers_do_not_notice_a_restart_or_a_crash_of_one_process(server):
    cursor = read(server)["cursor"]
    write(server, "first")
    server.restart()
    write(server, "second")
    with psycopg.connect(server.url(), autocommit=True) as connection:
        pid = connection.info.backend_pid
        servers.kill(pid)  # which makes the server start all anew
    servers.until(lambda: servers.answers(server), "the server does not come back")
    write(server, "third")
    assert read(server, cursor)["names"] == ["first", "second", "third"]


def test_files_that_were_at_rest_when_they_were_copied_know_that_they_are_a_copy(server, tmp_path):
    """An ordinary stop keeps an unlogged table, so the marker is there in both."""
    start = read(server)["cursor"]
    with servers.empty("copy", UNFLUSHED) as other:
        server.stop()
        servers.copy_files(server.data, other.data)
        server.start()
        other.start()
        for n in range(3):
            write(server, f"here {n}")
            write(other, f"there {n}")
        seen = read(server, start)
        assert seen["names"] == ["here 0", "here 1", "here 2"]
        for n in range(3, 9):
            write(other, f"there {n}")
        assert read(other, start)["names"] == [f"there {n}" for n in range(9)]
        code, printed = readers.python(other, "-c", READ, seen["cursor"])
        assert (code, "CursorExpired" in printed) == (1, True)


def test_a_database_made_from_this_one_as_its_template_is_another(server):
    cursor = read(server)["cursor"]
    servers.execute(server, "CREATE DATABASE other TEMPLATE postgres")
    there = servers.Named(server, "other")
    code, printed = readers.python(there, "-c", READ, cursor)
    assert (code, "CursorExpired" in printed) == (1, True)
    write(there, "there")
    assert read(server, cursor)["names"] == []


def test_crashes_of_the_server_lose_nothing_and_readers_notice_nothing():
    command = [sys.executable, "-m", "tests.disasters", "--only", "crashes", "--crashes", "12"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (
        len(re.findall(r"lost 0, doubled \d+, out of order 0, seen but not committed 0, told 410 0", ran.stdout)) == 2
    )


@pytest.mark.parametrize(
    ("way", "late"),
    [
        ("an asynchronous standby is promoted", True),
        ("a synchronous standby is promoted", False),
        ("a base backup takes its place", True),
        ("a dump is restored into it", True),
    ],
)
def test_after_a_failover_each_reader_is_equal_or_told(way, late, tmp_path):
    found = failovers.run(way, late=late, folder=tmp_path)
    assert found.faults == []


def test_a_standby_serves_no_change_before_its_predecessor(tmp_path):
    found = standbys.run(writers=12, seconds=6, folder=tmp_path)
    assert found.well, str(found)
    assert found.changes > 1000
