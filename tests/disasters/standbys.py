"""A standby that serves pulls while many write on the primary: no reader may see a change before its predecessor."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import threading
import time

import psycopg

from example import local_postgres
from tests.disasters import failovers, readers, servers

KEYS = 30


@dataclasses.dataclass(kw_only=True)
class Outcome:
    """The changes seen by a reader of the standby, and the final state of the replicas."""

    changes: int
    disorder: int
    lost: int
    wrong: int

    @property
    def well(self):
        """Say whether all came, in order, and the replicas are equal."""
        return bool(self.changes) and not (self.disorder or self.lost or self.wrong)

    def __str__(self):
        return (
            f"a reader of the standby: changes {self.changes}, out of order {self.disorder}, lost {self.lost}; "
            f"rows of the replica that differ {self.wrong}"
        )


class Writer(threading.Thread):
    """Changes a few rows at a time, which others change too, in transactions some of which stay open for a while."""

    def __init__(self, url, number, stop):
        super().__init__()
        self.url, self.stop = url, stop
        self.dice = random.Random(number)

    def run(self):
        with psycopg.connect(self.url, autocommit=True) as connection:
            while not self.stop.is_set():
                with contextlib.suppress(psycopg.errors.DeadlockDetected), connection.transaction():
                    connection.execute("SELECT pg_current_xact_id()")
                    self.stop.wait(self.dice.random() * 0.02)
                    for key in sorted(self.dice.sample(range(1, KEYS + 1), self.dice.randint(1, 3))):
                        connection.execute(
                            "UPDATE shop_customer SET name = %s WHERE id = %s", (str(self.dice.random()), key)
                        )


class Reader(threading.Thread):
    """Pulls from the standby as fast as it can, and notes each version by its key."""

    def __init__(self, service, cursor, stop):
        super().__init__()
        self.service, self.cursor, self.stop = service, cursor, stop
        self.versions = []
        self.latest = {}
        self.disorder = 0

    def run(self):
        while not self.stop.is_set():
            self.read()
            self.stop.wait(0.003)

    def read(self):
        """Read up to the standby's present."""
        more = True
        while more:
            page = self.service.client().changes([readers.MODEL], self.cursor)
            for change in page.items:
                self.versions.append(change.version)
                self.disorder += change.version < self.latest.get(change.key, 0)
                self.latest[change.key] = max(change.version, self.latest.get(change.key, 0))
            self.cursor, more = page.cursor, page.more


def run(*, writers, seconds, folder):
    """Run a number of writers for some seconds; return the outcome for the readers of the standby."""
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(local_postgres.own_server("primary", failovers.SETTINGS))
        here = stack.enter_context(local_postgres.own_server("here"))
        for server in (primary, here):
            readers.manage(server, "migrate", "-v0")
        servers.execute(
            primary,
            f"INSERT INTO shop_customer (id, name, email) SELECT n, 'x', '' FROM generate_series(1, {KEYS}) AS n",
        )
        token = failovers.consumer(primary)
        worker = stack.enter_context(readers.running(primary, folder, "pubsubpull_deliver"))
        other = stack.enter_context(servers.standby(primary, settings=failovers.SETTINGS))
        servers.caught_up(primary, other)
        service = readers.Service(folder, token)
        stack.enter_context(service.on(other))
        replicas = readers.Replicas(here, service)
        replicas.follow()
        follower = stack.enter_context(replicas.following(folder))
        start = readers.Puller(service)
        start.copy()
        stop, reading = threading.Event(), threading.Event()
        reader = Reader(service, start.cursor, reading)
        threads = [Writer(primary.url(), number, stop) for number in range(writers)]
        for thread in (*threads, reader):
            thread.start()
        time.sleep(seconds)
        stop.set()
        for thread in threads:
            thread.join()
        query = f"SELECT id FROM pubsubpull_change WHERE op = 'U' AND model = '{readers.MODEL}'"
        expected = {version for (version,) in servers.execute(primary, query)}
        with contextlib.suppress(AssertionError):  # missing changes are reported below
            servers.until(lambda: expected <= set(reader.versions), "")
            servers.until(lambda: replicas.table() == readers.rows(primary), "")
        reading.set()
        reader.join()
        assert worker.poll() is None
        assert follower.poll() is None
        wrong = len(set(readers.rows(primary).items()) - set(replicas.table().items()))
        return Outcome(
            changes=len(reader.versions),
            disorder=reader.disorder,
            lost=len(expected - set(reader.versions)),
            wrong=wrong,
        )
