"""A standby that serves pulls during the run, and its reader. In a failover it takes over, and a new one follows."""

from __future__ import annotations

import collections
import threading

import pubsubpull
from pubsubpull import exceptions
from tests.disasters import servers


class Standby:
    """The standby of the suite's server. `server` is the present standby, always at the same port."""

    def __init__(self, primary, stack):
        self._stack = stack
        self._settings = primary.settings
        self.server = stack.enter_context(servers.standby(primary, settings=self._settings))

    def take_over(self, primary):
        """Crash the primary, promote the standby at its port, and make a new standby; return the new primary.

        Commits wait for the standby before that, so that none is lost.
        """
        standing, ports = self.server, (primary._port, self.server._port)
        servers.execute(primary, "ALTER SYSTEM SET synchronous_standby_names = 'standby'")
        servers.execute(primary, "SELECT pg_reload_conf()")
        synchronous = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
        servers.until(lambda: servers.execute(primary, synchronous), "the standby is not synchronous")
        servers.crash(primary)
        servers.execute(standing, "ALTER SYSTEM RESET synchronous_standby_names")
        servers.promote(standing)
        _move(standing, ports[0])
        self.server = self._stack.enter_context(servers.standby(standing, settings=self._settings))
        _move(self.server, ports[1])
        return standing


def _move(server, port):
    server.stop()
    server._port = port
    server.start()


class Reader(threading.Thread):
    """Pulls from the service on the standby, and goes on after any failure. `expired` counts its answers 410."""

    def __init__(self, url, token, models, cursor):
        super().__init__(daemon=True)
        self._client = pubsubpull.Client(url, token, timeout=5)
        self._models, self._cursor = models, cursor
        self._ended = threading.Event()
        self.seen = set()
        self.duplicates = self.disorder = self.failed = self.expired = 0
        self._latest = collections.Counter()

    def run(self):
        while not self._ended.is_set():
            try:
                page = self._client.changes(self._models, self._cursor, wait=1)
            except exceptions.CursorExpired:
                self.expired += 1
                return
            except exceptions.ServiceError as error:
                if isinstance(error, exceptions.RequestRefused) and error.status < 500:
                    raise
                self.failed += 1
                self._ended.wait(0.1)
                continue
            for change in page.items:
                self._note(change)
            self._cursor = page.cursor

    def stop(self):
        """End, and come back when that is done."""
        self._ended.set()
        self.join()
        self._client.close()

    def _note(self, change):
        key = change.model, change.key
        self.duplicates += change.version in self.seen
        self.disorder += change.version < self._latest[key]
        self.seen.add(change.version)
        self._latest[key] = max(self._latest[key], change.version)
