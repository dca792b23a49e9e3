"""The writers: TPC-B by themselves, by pgbench where it is installed, and through the service."""

from __future__ import annotations

import contextlib
import http.client
import pathlib
import random
import shutil
import subprocess
import threading

import psycopg

TPCB = (
    "UPDATE pgbench_accounts SET abalance = abalance + %(delta)s WHERE aid = %(aid)s",
    "SELECT abalance FROM pgbench_accounts WHERE aid = %(aid)s",
    "UPDATE pgbench_tellers SET tbalance = tbalance + %(delta)s WHERE tid = %(tid)s",
    "UPDATE pgbench_branches SET bbalance = bbalance + %(delta)s WHERE bid = 1",
    "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (%(tid)s, 1, %(aid)s, %(delta)s, now())",
)


def pgbench():
    """Return where pgbench is, None where it is not installed."""
    return shutil.which("pgbench") or next(map(str, pathlib.Path("/usr/lib/postgresql").glob("*/bin/pgbench")), None)


class Writers:
    """Threads that write until they are stopped, and reconnect after any failure."""

    def __init__(self, *, url, service, seed, pause):
        self.url = url
        self.service = service
        self.pause = pause
        self.committed = self.broken = 0
        self.pgbench = pgbench()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        work = [self._tpcb, self._tpcb, self._serve]
        if self.pgbench:
            work.append(self._pgbench)
        self._threads = [
            threading.Thread(target=self._forever, args=[one, seed * 1000 + number]) for number, one in enumerate(work)
        ]

    def start(self):
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _forever(self, work, seed):
        chance = random.Random(seed)
        while not self._stop.is_set():
            try:
                work(chance)
            except (psycopg.Error, OSError, http.client.HTTPException, subprocess.CalledProcessError):
                self._count("broken")
                self._stop.wait(0.05)

    def _tpcb(self, chance):
        with contextlib.closing(psycopg.connect(self.url, connect_timeout=5)) as connection:
            while not self._stop.wait(self.pause):
                values = {
                    "aid": chance.randint(1, 1000),
                    "tid": chance.randint(1, 10),
                    "delta": chance.randint(-5000, 5000),
                }
                for statement in TPCB:
                    connection.execute(statement, values)
                if chance.random() < 0.1:
                    connection.rollback()
                else:
                    connection.commit()
                    self._count("committed")

    def _pgbench(self, _chance):
        """Run pgbench's own script for a second; it gives up when its connection breaks."""
        command = [self.pgbench, "-n", "-c", "2", "-R", str(round(1 / self.pause)), "-T", "1", self.url]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        self._count("committed")

    def _serve(self, chance):
        connection = http.client.HTTPConnection("127.0.0.1", self.service, timeout=10)
        with contextlib.closing(connection):
            while not self._stop.wait(self.pause):
                connection.request("POST", f"/work/{chance.randrange(10**9)}/")
                answer = connection.getresponse()
                answer.read()
                self._count("committed" if answer.status == 201 else "broken")

    def _count(self, name):
        with self._lock:
            setattr(self, name, getattr(self, name) + 1)
