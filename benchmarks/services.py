"""The processes of a benchmark, a log to read, and its readers."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3
from psycopg import sql as psql

from benchmarks import sql
from example.demo import processes as demo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pubsubpull.models import Consumer

MODEL = "benchmarks.captured"
TABLE = psql.Identifier("benchmarks_captured")
LOG = "pubsubpull_change, pubsubpull_request, pubsubpull_alive, pubsubpull_tick, pubsubpull_history"
"""What holds the log: its ids begin anew, and so must its ticks."""
LIMIT = 600.0
"""Seconds that anything may take before it is given up."""
http = urllib3.PoolManager(maxsize=4, retries=False, timeout=60)


class Processes(demo.Processes):
    """The demo's, that can also end one of them."""

    def pid(self, name: str) -> int:
        """Return a process's number."""
        return self._running[name].pid

    def end(self, name: str) -> None:
        """End one, and come back when it is gone."""
        self._running[name].terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._running[name].wait(30)
        self._forget(name)


@contextlib.contextmanager
def processes() -> Iterator[Processes]:
    """Yield a function that starts processes, and end them at exit. Their output goes to temporary files."""
    folder = Path(tempfile.mkdtemp(prefix="pubsubpull-bench-"))
    made = Processes(folder, os.environ)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def receiver(running: Processes, name: str = "receiver") -> str:
    """Start a receiver; its URL, once it answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        running.start(name, "benchmarks.receiver", str(listener.fileno()), handed=[listener.fileno()])
    http.request("GET", f"{url}/state")
    return url


def state(url: str, method: str = "GET") -> dict[str, Any]:
    """Return the receiver's counts so far; with DELETE, reset them."""
    found: dict[str, Any] = http.request(method, f"{url}/state").json()
    return found


def until(condition: Callable[[], Any], running: Processes, *, tick: float = 0.05) -> None:
    """Wait until the condition holds; raise where a process has ended, or where it takes too long."""
    end = time.monotonic() + LIMIT
    while not condition():
        running.check()
        if time.monotonic() > end:
            raise TimeoutError(f"it did not come about in {LIMIT:.0f} s")
        time.sleep(tick)


def changes(count: int) -> None:
    """Write `count` changes into an empty log: half of them inserts, half updates."""
    from pubsubpull.log import feed

    for tables in ("benchmarks_captured", LOG):  # emptying a table is a change, too
        sql.run(sql.compose("empty", tables=psql.SQL(tables)))
    feed.present()  # a history begins before the changes, as in a log that was never emptied
    sql.run(sql.compose("insert_rows", table=TABLE, count=count // 2))
    sql.run(sql.compose("update_rows", table=TABLE))
    sql.run(sql.compose("analyze"))


def consumer() -> tuple[Consumer, str]:
    """Make a consumer that may read and subscribe; return it and its token."""
    from pubsubpull.pull import consumers

    return consumers.add("bench", [MODEL], may_subscribe=True)


def subscribe(consumer_: Consumer, name: str, callback: str, *, batch: int, after: str = "start") -> None:
    """Make a subscription."""
    from pubsubpull.subscriptions import service

    service.put(consumer_, name, service.SubscriptionSpec(callback=callback, models=[MODEL], batch=batch, after=after))
