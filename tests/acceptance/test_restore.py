"""A log that is moved to another cluster, and one that a standby serves."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
from urllib.parse import urlsplit

import psycopg
import pytest

from example import local_postgres

ROOT = pathlib.Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.acceptance

READ = """
import django, json, sys
django.setup()
from pubsubpull import exceptions
from pubsubpull.capture import feed
from pubsubpull.capture.cursor import Cursor
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
    """Run Python with the test project on the database at `url`; return what it printed."""
    env = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run([sys.executable, *args], env=env, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(url, *cursor):
    return json.loads(python(url, "-c", READ, *cursor))


def write(url, name):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO shop_customer (name, email) VALUES (%s, '')", (name,))


def program(server, name, *args, data=None):
    """Run one of PostgreSQL's programs against a server."""
    parts = urlsplit(server.url())
    names = {
        "PGHOST": parts.hostname,
        "PGPORT": str(parts.port),
        "PGUSER": parts.username,
        "PGPASSWORD": parts.password,
    }
    found = shutil.which(name, path=server.binaries.bindir)
    if found is None:
        pytest.skip(f"this PostgreSQL has no {name}")
    done = subprocess.run([found, *args], env=os.environ | names, input=data, capture_output=True, timeout=180)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_a_cursor_does_not_outlive_a_restore_into_another_cluster():
    with local_postgres.own_server("restore-a") as one, local_postgres.own_server("restore-b") as two:
        python(one.url(), "manage.py", "migrate", "-v0")
        start = read(one.url())["cursor"]
        write(one.url(), "before")
        cursor = read(one.url(), start)["cursor"]
        dump = program(one, "pg_dump", "-Fc", "postgres")
        program(two, "pg_restore", "-d", "postgres", data=dump)

        answer = read(two.url(), cursor)
        assert "another history" in answer["expired"]
        assert "Read all instances" in answer["expired"]

        fresh = read(two.url())["cursor"]
        write(two.url(), "after")
        assert read(two.url(), fresh)["names"] == ["after"]
        assert read(one.url(), cursor)["names"] == [], "the first log goes on as it was"
        python(two.url(), "manage.py", "pubsubpull_triggers", "--check")


@contextlib.contextmanager
def standby(primary):
    """Run a streaming standby of `primary`; yield its URL."""
    with local_postgres.own_server("standby") as server:
        server.stop()
        shutil.rmtree(server.data)
        parts = urlsplit(primary.url())
        source = f"host={parts.hostname} port={parts.port} user={parts.username} password={parts.password}"
        program(primary, "pg_basebackup", "-D", str(server.data), "-R", "-d", source, "-X", "stream", "-c", "fast")
        shutil.chown(server.data, server.data.parent.owner()) if os.geteuid() else hand_over(server.data, primary.data)
        server.start()
        yield server.url()


def hand_over(folder, like):
    """Give all of a folder to the owner of another."""
    owner = like.stat()
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def caught_up(primary_url, standby_url):
    """Wait until the standby has replayed all that the primary has written."""
    with psycopg.connect(primary_url, autocommit=True) as one, psycopg.connect(standby_url, autocommit=True) as two:
        ((target,),) = one.execute("SELECT pg_current_wal_insert_lsn()::text").fetchall()
        end = time.monotonic() + 120
        while not two.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (target,)).fetchone()[0]:
            assert time.monotonic() < end, "the standby does not catch up"


def test_a_standby_serves_pulls_without_losing_a_running_transaction():
    with local_postgres.own_server("primary", {"synchronous_commit": "on"}) as primary:
        url = primary.url()
        python(url, "manage.py", "migrate", "-v0")
        with standby(primary) as other, psycopg.connect(url) as slow:
            start = read(url)["cursor"]
            write(url, "quick one")
            slow.execute("INSERT INTO shop_customer (name, email) VALUES ('slow', '')")
            write(url, "quick two")
            caught_up(url, other)
            first = read(other, start)
            slow.commit()
            caught_up(url, other)
            second = read(other, first["cursor"])
            assert sorted(first["names"] + second["names"]) == ["quick one", "quick two", "slow"]

            write(url, "later")
            ahead = read(url, second["cursor"])
            caught_up(url, other)
            with psycopg.connect(other, autocommit=True) as replay:
                replay.execute("SELECT pg_wal_replay_pause()")
                write(url, "last")
                ahead = read(url, ahead["cursor"])
                assert ahead["names"] == ["last"]
                behind = read(other, ahead["cursor"])
                assert behind == {"names": [], "cursor": ahead["cursor"]}, "a standby that lags moves no cursor back"
                replay.execute("SELECT pg_wal_replay_resume()")
