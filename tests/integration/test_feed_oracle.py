"""The feed against an oracle, the database itself: random transactions of many writers, while readers poll."""

from __future__ import annotations

import contextlib
import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import connection, connections

from pubsubpull.capture import registry
from pubsubpull.log import feed
from pubsubpull.log.cursor import Cursor
from tests.sessions import names, session

pytestmark = pytest.mark.django_db(transaction=True)

TRANSACTIONS = 400
CUSTOMERS, ARTICLES = 12, 12


class Abandoned(Exception):
    """A writer changes its mind."""


def write_change(one, dice):
    """Make one random write of one of several tables: of one row or many, new, changed, moved, deleted."""
    n, word = dice.randrange(CUSTOMERS), str(dice.random())
    article = dice.randrange(ARTICLES)
    statement, values = dice.choice(
        [
            (
                "INSERT INTO shop_customer VALUES (%s, %s, '') ON CONFLICT (id) DO UPDATE SET name = excluded.name",
                (n, word),
            ),
            ("UPDATE shop_customer SET name = %s WHERE id = %s", (word, n)),
            ("UPDATE shop_customer SET name = %s WHERE id BETWEEN %s AND %s", (word, n, n + 2)),
            ("DELETE FROM shop_customer WHERE id = %s", (n,)),
            ("INSERT INTO shop_stock VALUES ('w', %s, %s) ON CONFLICT DO NOTHING", (article, n)),
            ("UPDATE shop_stock SET amount = amount + 1 WHERE article = %s", (article,)),
            ("DELETE FROM shop_stock WHERE article = %s", (article,)),
            (
                "UPDATE shop_stock SET article = %s WHERE article = %s "
                "AND NOT EXISTS (SELECT FROM shop_stock WHERE article = %s)",
                (ARTICLES - 1 - article, article, ARTICLES - 1 - article),
            ),
            ("INSERT INTO shop_account (owner, number) VALUES (%s, '')", (word,)),
            (
                # The row is locked before the event is emitted: so the events of its key are in order.
                "WITH placed AS (INSERT INTO shop_customer VALUES (%s, %s, '') "
                "ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING id) "
                "SELECT pubsubpull_emit('shop.orderplaced', id::text, jsonb_build_object('order', id)) FROM placed",
                (n, word),
            ),
        ]
    )
    one.execute(statement, values)


def transaction_of(one, dice):
    """Make some writes in one transaction, parts of it or all of it taken back now and then, some of it slow."""
    with one.transaction():
        for _ in range(dice.randint(1, 4)):
            if dice.random() < 0.2:
                one.execute("SELECT pg_current_xact_id()")
            write_change(one, dice)
            if dice.random() < 0.15:
                one.execute("SELECT pg_sleep(%s)", (dice.random() / 50,))
            if dice.random() < 0.2:
                with contextlib.suppress(Abandoned), one.transaction():
                    write_change(one, dice)
                    raise Abandoned
        if dice.random() < 0.15:
            raise Abandoned


def writer(given, seed, count):
    dice = random.Random(seed)
    with session(**given) as one:
        for _ in range(count):
            with contextlib.suppress(Abandoned, psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation):
                if dice.random() < 0.3:
                    write_change(one, dice)
                else:
                    transaction_of(one, dice)


def long_writer(given, done):
    """Keep one transaction open as long as the others write."""
    with session(**given) as one, one.transaction():
        one.execute("INSERT INTO shop_place (name) VALUES ('before')")
        done.wait(250)
        one.execute("INSERT INTO shop_place (name) VALUES ('after')")


class Reader:
    """Polls with a fixed page size; holds the changes read, and a replica built from them."""

    def __init__(self, limit, start):
        self.limit, self.cursor = limit, start
        self.items, self.windows, self.replica = [], [set()], {}

    def read(self):
        """Read to the end of one window."""
        more = True
        while more:
            page = feed.page(self.cursor, limit=self.limit)
            self.cursor, more = Cursor.decode(page.cursor.encode()), page.more
            for item in json.loads(f"[{page.items.decode()}]"):
                self.apply(item)
        self.windows.append(set())

    def apply(self, item):
        self.items.append((item["version"], item["model"], item["key"]))
        self.windows[-1].add(item["transaction"])
        if item["op"] != "event":  # an event is no state of a row
            self.replica[item["model"], item["key"]] = item["new"]

    def poll(self, done):
        try:
            while not done.is_set():
                self.read()
            self.read()
        finally:
            connections.close_all()


def tables():
    """Return every row of the tables that are written here, as the log would tell it."""
    found = {}
    for publication in map(registry.get, ["shop.customer", "shop.stock", "shop.account", "shop.place"]):
        name = ".".join(f'"{part}"' for part in publication.table if part)
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT pubsubpull_key(to_jsonb(t), %s), to_jsonb(t) FROM {name} AS t", (publication.key_columns,)
            )
            found |= {(publication.label, key): json.loads(row) for key, row in cursor.fetchall()}
    return found


@pytest.mark.parametrize("writers", [8, 30])
def test_nothing_is_lost_doubled_split_or_out_of_order_while_others_write(writers):
    start = feed.present().cursor()
    readers = [Reader(limit, start) for limit in (1, 3, 1000)]
    written, read = threading.Event(), threading.Event()
    with ThreadPoolExecutor(writers + 4) as pool:
        polling = [pool.submit(reader.poll, read) for reader in readers]
        long = pool.submit(long_writer, names(), written)
        writing = [pool.submit(writer, names(), seed, TRANSACTIONS // writers) for seed in range(writers)]
        try:
            for task in writing:
                task.result(250)
            written.set()
            long.result(120)
        finally:
            written.set()
            read.set()
        for task in polling:
            task.result(250)
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, model, key FROM pubsubpull_change WHERE id > %s ORDER BY id", (start.seq,))
        truth = cursor.fetchall()
    assert len(truth) > TRANSACTIONS / 2
    assert "shop.orderplaced" in {model for _, model, _ in truth}
    for reader in readers:
        assert sorted(reader.items) == truth, "each committed change once"
        by_key = {}
        for version, model, key in reader.items:
            assert by_key.get((model, key), 0) < version, "a row's states in order"
            by_key[model, key] = version
        seen = set()
        for window in reader.windows:
            assert not window & seen, "a transaction in two reads"
            seen |= window
        assert {key: row for key, row in reader.replica.items() if row} == tables(), "the replica equals the tables"
