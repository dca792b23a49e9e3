"""The cost of dropping old changes for concurrent writers."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import TYPE_CHECKING

from django.db import connection

from benchmarks import measure, sql
from benchmarks.models import Captured
from pubsubpull import conf
from pubsubpull.log import feed, partitions
from pubsubpull.operate import maintenance

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.bench import Bench

BATCH = 1_000_000
DAY = 86_400.0
BESIDE = 5.0
"""How long the writer is looked at while nothing is dropped, in seconds."""


def run(bench: Bench) -> measure.Outcome:
    """Drop a partition of ten million changes beside a writer, and see how long the writer waited at most."""
    count = 100_000 if bench.quick else 10_000_000
    settings = dataclasses.replace(conf.get(), PARTITION_SIZE=count)
    _prepare(settings, count, bench.say)
    usual = _waits(lambda: time.sleep(BESIDE))
    began = time.monotonic()
    waits = _waits(lambda: maintenance.run(dataclasses.replace(settings, RETENTION=DAY)))
    seconds = time.monotonic() - began
    left = [one.name for one in partitions.read(feed.present(), "default")]
    if "pubsubpull_change_p1" in left:
        return measure.Outcome(notes=("Nothing was dropped: a transaction was open.",))
    line = measure.Line(
        what=f"longest wait of a writer while {count:,} changes are dropped, against a pause of a second",
        ours=f"{max(waits) * 1000:.0f} ms",
        theirs="1000 ms",
        value=max(waits),
        bound="at most",
        target=1,
    )
    note = (
        f"The pass took {seconds:.1f} s, with {len(waits):,} writes beside it; the longest of {len(usual):,} writes in "
        f"{BESIDE:g} s without it took {max(usual) * 1000:.0f} ms."
    )
    return measure.Outcome(lines=(line,), notes=(note,))


def _prepare(settings: conf.Settings, count: int, say: Callable[[str], None]) -> None:
    """Fill the first partition with changes that are old enough, and have them settled."""
    feed.present()
    for done in range(0, count, BATCH):
        sql.run(sql.compose("old_changes", count=min(BATCH, count - done)))
        say(f"{min(done + BATCH, count):,} of {count:,} changes")
    sql.run(sql.compose("fill_partition"))
    for _ in range(3):
        maintenance.run(settings)


def _waits(work: Callable[[], object]) -> list[float]:
    """Return how long each write took while the work was done."""
    found: list[float] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            began = time.monotonic()
            Captured.objects.create(customer="c", email="e", total=1, status="s", quantity=1, notes="n")
            found.append(time.monotonic() - began)
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        work()
    finally:
        stop.set()
        thread.join()
    return found
