"""A log moved to another cluster, and a log served by a standby."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import psycopg
import pytest

from example import local_postgres
from tests.disasters import servers

ROOT = pathlib.Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.acceptance

READ = """
import django, json, sys
django.setup()
from pubsubpull import exceptions
from pubsubpull.log import feed
from pubsubpull.log.cursor import Cursor
cursor = Cursor.decode(sys.argv[1]) if len(sys.argv) > 1 else None
try:
    page = feed.page(cursor, limit=1000) if cursor else None
except exceptions.CursorExpired as error:
    print(json.dumps({"expired": str(error)}))
else:
    items = json.loads(f"[{page.items.decode()}]") if page else []
    print(json.dumps({
        "names": [item["new"]["name"] for item in items],
        "cursor": (page.cursor if page else feed.present().cursor()).encode(),
    }))
"""


def python(url, *args):
    """Run Python with the test project on the database at `url`; return its output."""
    env = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run([sys.executable, *args], env=env, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(url, *cursor):
    return json.loads(python(url, "-c", READ, *cursor))


def write(url, name):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO shop_customer (name, email) VALUES (%s, '')", (name,))


def test_a_cursor_does_not_outlive_a_restore_into_another_cluster():
    with local_postgres.own_server("restore-a") as one, local_postgres.own_server("restore-b") as two:
        python(one.url(), "manage.py", "migrate", "-v0")
        start = read(one.url())["cursor"]
        write(one.url(), "before")
        cursor = read(one.url(), start)["cursor"]
        dump = servers.program(one, "pg_dump", "-Fc", "postgres")
        servers.program(two, "pg_restore", "-d", "postgres", data=dump)

        answer = read(two.url(), cursor)
        assert "another history" in answer["expired"]
        assert "Read all instances" in answer["expired"]

        fresh = read(two.url())["cursor"]
        write(two.url(), "after")
        assert read(two.url(), fresh)["names"] == ["after"]
        assert read(one.url(), cursor)["names"] == [], "the first log goes on as it was"
        python(two.url(), "manage.py", "pubsubpull_triggers", "--check")


def test_a_standby_serves_pulls_without_losing_a_running_transaction():
    with local_postgres.own_server("primary", {"synchronous_commit": "on"}) as primary:
        url = primary.url()
        python(url, "manage.py", "migrate", "-v0")
        with servers.standby(primary) as second, psycopg.connect(url) as slow:
            other = second.url()

            def replayed():
                python(url, "manage.py", "pubsubpull_deliver", "--once")  # a worker reads even without subscriptions
                servers.caught_up(primary, second)

            start = read(url)["cursor"]
            write(url, "quick one")
            slow.execute("INSERT INTO shop_customer (name, email) VALUES ('slow', '')")
            write(url, "quick two")
            replayed()
            first = read(other, start)
            slow.commit()
            replayed()
            then = read(other, first["cursor"])
            assert sorted(first["names"] + then["names"]) == ["quick one", "quick two", "slow"]

            write(url, "later")
            ahead = read(url, then["cursor"])
            servers.caught_up(primary, second)
            with psycopg.connect(other, autocommit=True) as replay:
                replay.execute("SELECT pg_wal_replay_pause()")
                write(url, "last")
                ahead = read(url, ahead["cursor"])
                assert ahead["names"] == ["last"]
                behind = read(other, ahead["cursor"])
                assert behind == {"names": [], "cursor": ahead["cursor"]}, "a standby that lags moves no cursor back"
                replay.execute("SELECT pg_wal_replay_resume()")
