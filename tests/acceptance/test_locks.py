"""Triggers are made, changed and dropped while others have transactions open: no writer waits behind that."""

from __future__ import annotations

import contextlib
import json
import threading
import time

import psycopg
import pytest

from example import local_postgres
from tests.disasters import readers, servers

pytestmark = pytest.mark.acceptance

STALL = 0.25
"""How long a write may take, in seconds."""
ENVIRONMENT = {"PUBSUBPULL_SETTINGS": json.dumps({"LOCK_WAIT": 2.0})}


@pytest.fixture
def server():
    with local_postgres.own_server("locks") as one:
        readers.manage(one, "migrate", "-v0")
        yield one


class Writer(threading.Thread):
    """Writes all the while, and notes how long its longest write took."""

    def __init__(self, url):
        super().__init__()
        self.url, self.ended = url, threading.Event()
        self.longest, self.count = 0.0, 0

    def run(self):
        with psycopg.connect(self.url, autocommit=True) as connection:
            while not self.ended.is_set():
                began = time.monotonic()
                connection.execute("INSERT INTO shop_customer (name, email) VALUES ('w', '')")
                self.longest = max(self.longest, time.monotonic() - began)
                self.count += 1
                self.ended.wait(0.002)


@contextlib.contextmanager
def writing(server):
    """Write until the block ends; give the writer."""
    writer = Writer(server.url())
    writer.start()
    try:
        yield writer
    finally:
        writer.ended.set()
        writer.join()


@contextlib.contextmanager
def open_transaction(server):
    """Hold a transaction open that has written to the table, with an application name."""
    with psycopg.connect(server.url(), application_name="nightly") as connection:
        connection.execute("INSERT INTO shop_customer (name, email) VALUES ('slow', '')")
        yield


def without_triggers(server):
    servers.execute(server, 'DROP TRIGGER "00_pubsubpull_insert" ON shop_customer')


def with_other_texts(server):
    servers.execute(server, """COMMENT ON TRIGGER "00_pubsubpull_insert" ON shop_customer IS 'of an older release'""")
    servers.execute(server, """COMMENT ON TRIGGER "00_pubsubpull_truncate" ON shop_account IS 'of an older release'""")


def check(server):
    """Return the remaining steps as listed by `--check`."""
    code, printed = readers.python(server, "manage.py", "pubsubpull_triggers", "--check")
    left = [line for line in printed.splitlines() if line.startswith("to do")]
    assert code == bool(left), printed
    return left


@pytest.mark.parametrize("before", [without_triggers, with_other_texts])
@pytest.mark.parametrize("command", [("pubsubpull_triggers", "--sync"), ("migrate",)])
def test_no_writer_waits_while_triggers_are_made_and_the_rest_is_reported(server, before, command):
    before(server)
    with open_transaction(server), writing(server) as writer:
        code, printed = readers.python(server, "manage.py", *command, **ENVIRONMENT)
    assert writer.longest < STALL, "a write waited behind it"
    assert writer.count > 50
    assert "public.shop_customer" in printed
    assert "nightly" in printed
    assert code == (0 if command == ("migrate",) else 1), printed
    (left,) = check(server)
    assert "shop_customer" in left, "other tables' are done"
    readers.manage(server, *command)
    assert check(server) == []


def test_no_writer_waits_while_all_is_taken_away_and_nothing_is_done_by_halves(server):
    with open_transaction(server), writing(server) as writer:
        code, printed = readers.python(server, "manage.py", "migrate", "pubsubpull", "zero", **ENVIRONMENT)
    assert writer.longest < STALL, "a write waited behind it"
    assert (code, "The log is still there" in printed) == (1, True), printed
    assert servers.execute(server, "SELECT count(*) > 50 FROM pubsubpull_change") == [(True,)]
    with writing(server) as writer:
        readers.manage(server, "migrate", "pubsubpull", "zero")
    assert writer.longest < STALL, "a write waited behind it"
    assert servers.execute(server, "SELECT to_regclass('pubsubpull_change')") == [(None,)]
    readers.manage(server, "migrate", "-v0")
    assert check(server) == []
