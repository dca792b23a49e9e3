"""Writers that go on while a migration runs. A further migration is tested under them."""

from __future__ import annotations

import contextlib
import threading

import psycopg

from tests import sessions

START = ("0001_log", "0002_subscriptions", "0003_replicas")
"""The migrations that a new installation begins with: they run on a database without data."""
LOCK_BOUND_MS = 250
"""Milliseconds that a writer may wait for a lock: five times what the package itself asks of others."""
ROUNDS = 20
"""Rounds that each writer completes before the migration, and again after it."""


class Writer(threading.Thread):
    """Inserts, updates and deletes rows in transactions of its own; a lock that takes too long is an error."""

    def __init__(self):
        super().__init__(daemon=True)
        self.rounds, self.error = 0, None
        self.ended, self.moved = threading.Event(), threading.Condition()

    def run(self):
        try:
            with sessions.session() as connection:
                connection.execute(f"SET lock_timeout = {LOCK_BOUND_MS}")
                while not self.ended.is_set():
                    self._round(connection)
        except psycopg.Error as error:
            self.error = error
        with self.moved:
            self.moved.notify_all()

    def _round(self, connection):
        statement = "INSERT INTO shop_customer (name, email) VALUES ('w', '') RETURNING id"
        ((key,),) = connection.execute(statement).fetchall()
        connection.execute("UPDATE shop_customer SET name = 'x' WHERE id = %s", [key])
        connection.execute("DELETE FROM shop_customer WHERE id = %s", [key])
        with self.moved:
            self.rounds += 1
            self.moved.notify_all()

    def write(self, rounds):
        """Wait until the writer has completed so many more rounds, or has failed."""
        with self.moved:
            until = self.rounds + rounds
            assert self.moved.wait_for(lambda: self.error or self.rounds >= until, timeout=60)


@contextlib.contextmanager
def writing(count=4):
    """Have writers write before, during and after the block; give them."""
    writers = [Writer() for _ in range(count)]
    for writer in writers:
        writer.start()
    try:
        for writer in writers:
            writer.write(ROUNDS)
        yield writers
        for writer in writers:
            writer.write(ROUNDS)
    finally:
        for writer in writers:
            writer.ended.set()
        for writer in writers:
            writer.join(timeout=60)


def failures(writers):
    """Return the errors of the writers that failed."""
    return [writer.error for writer in writers if writer.error]
