"""Crashes of the server under writers with many rollbacks, while a reader and a worker read on."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import random
import subprocess
import sys
import threading

import psycopg

from example import local_postgres
from tests.disasters import servers
from tests.faults import receiving
from tests.processes import ROOT

WRITERS = 2
ROLLED_BACK = 1 / 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome for a reader."""

    name: str
    lost: int
    doubled: int
    disorder: int
    unknown: int
    refused: int
    """How often it was told that its cursor had expired."""

    @property
    def well(self):
        """Say whether it had all, in order, and was told nothing for nothing."""
        return not (self.lost or self.disorder or self.unknown or self.refused)

    def __str__(self):
        return (
            f"{self.name}: lost {self.lost}, doubled {self.doubled}, out of order {self.disorder}, "
            f"seen but not committed {self.unknown}, told 410 {self.refused}"
        )


class Writer(threading.Thread):
    """Writes in small transactions, and rolls a part of them back, on the present server."""

    def __init__(self, url, number, stop):
        super().__init__()
        self.url, self.number, self.stop = url, number, stop
        self.dice = random.Random(number)

    def run(self):
        while not self.stop.is_set():
            with contextlib.suppress(psycopg.Error), psycopg.connect(self.url) as connection:
                while not self.stop.is_set():
                    self._write(connection)
                    self.stop.wait(self.dice.random() * 0.15)

    def _write(self, connection):
        for _ in range(self.dice.randint(1, 3)):
            connection.execute(
                "INSERT INTO shop_stock (warehouse, article, amount) VALUES ('w', %s, 1)"
                " ON CONFLICT (warehouse, article) DO UPDATE SET amount = shop_stock.amount + 1",
                (self.dice.randrange(20) * WRITERS + self.number,),
            )
        if self.dice.random() < ROLLED_BACK:
            connection.rollback()
        else:
            connection.commit()


class Reader(threading.Thread):
    """Reads the feed every few milliseconds, and starts over from the newest cursor that it has."""

    def __init__(self, cursor, stop):
        super().__init__()
        self.stop = stop
        self.seen = []
        self.refused = 0
        self.cursor = cursor

    def run(self):
        from django.db import Error, close_old_connections, connection

        from pubsubpull import exceptions
        from pubsubpull.log import feed

        while not self.stop.is_set():
            try:
                found = feed.rows(self.cursor, limit=1000)
            except exceptions.CursorExpired:
                self.refused += 1
                self.cursor = feed.present().cursor()
            except Error:
                close_old_connections()
                connection.close()
                self.stop.wait(0.02)
                continue
            else:
                self.seen += [(row.version, row.item) for row in found.rows]
                self.cursor = found.cursor
            self.stop.wait(0.005)
        connection.close()


def run(crashes, say=lambda _: None):
    """Let the server crash a number of times; return each reader's outcome, and how many changes were committed."""
    with contextlib.ExitStack() as stack:
        settings = {"synchronous_commit": "on", "full_page_writes": "on", "restart_after_crash": "off"}
        server = stack.enter_context(local_postgres.own_server("crashes", settings))
        os.environ["DATABASE_URL"] = server.url()
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        import django
        from django.core.management import call_command

        django.setup()
        from pubsubpull.log import feed

        call_command("migrate", verbosity=0)
        receiver = receiving.Receiver(0)
        _subscribe(receiver, stack.enter_context(receiving.serving(receiver)))
        worker = stack.enter_context(_worker(server))
        stop, reading = threading.Event(), threading.Event()
        writers = [Writer(server.url(), number, stop) for number in range(WRITERS)]
        reader = Reader(feed.present().cursor(), reading)
        for thread in (*writers, reader):
            thread.start()
        try:
            servers.until(lambda: reader.seen, "the reader sees nothing")
            dice = random.Random(crashes)
            for number in range(crashes):
                stop.wait(0.5 + dice.random() * 0.4)
                servers.crash(server)
                server.start()
                assert worker.poll() is None, "the worker ended"
                if (number + 1) % 10 == 0:
                    say(f"{number + 1} crashes, {len(reader.seen)} changes seen")
        finally:
            stop.set()
            for thread in writers:
                thread.join()
        expected = {
            version: (model, key)
            for version, model, key in servers.execute(
                server, "SELECT id, model, key FROM pubsubpull_change ORDER BY id"
            )
        }
        copy = receiver.copies["crashes"]
        with contextlib.suppress(AssertionError):  # missing changes are reported below
            servers.until(
                lambda: set(expected) <= {version for version, _ in reader.seen} and set(expected) <= copy.seen, ""
            )
        reading.set()
        reader.join()
        ((state,),) = servers.execute(server, "SELECT state FROM pubsubpull_subscription")
        return [_judge(reader, expected), _judge_copy(copy, expected, state)], len(expected)


def _judge(reader, expected):
    versions = [version for version, _ in reader.seen]
    counted = collections.Counter(versions)
    latest = {}
    disorder = 0
    for version in versions:
        key = expected.get(version)
        disorder += version < latest.get(key, 0)
        latest[key] = max(version, latest.get(key, 0))
    return Outcome(
        name="a reader",
        lost=len(set(expected) - set(versions)),
        doubled=counted.total() - len(counted),
        disorder=disorder,
        unknown=len(set(versions) - set(expected)),
        refused=reader.refused,
    )


def _judge_copy(copy, expected, state):
    return Outcome(
        name="a receiver",
        lost=len(set(expected) - copy.seen),
        doubled=copy.duplicates,
        disorder=copy.disorder,
        unknown=len(copy.seen - set(expected)),
        refused=int(state != "active"),
    )


def _subscribe(receiver, port):
    from pubsubpull.pull import consumers
    from pubsubpull.subscriptions import service

    consumer, _ = consumers.add("crashes", ["*"], may_subscribe=True)
    wish = service.SubscriptionSpec(callback=f"http://127.0.0.1:{port}/", models=["shop.stock"])
    receiver.secrets["crashes"] = service.secret_of(service.put(consumer, "crashes", wish)[0])


@contextlib.contextmanager
def _worker(server):
    environment = os.environ | {"DATABASE_URL": server.url(), "DJANGO_SETTINGS_MODULE": "tests.delivery_settings"}
    with (server.folder.parent / f"{server.folder.name}-worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "django", "pubsubpull_deliver"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    try:
        yield worker
    finally:
        worker.terminate()
        try:
            worker.wait(30)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
