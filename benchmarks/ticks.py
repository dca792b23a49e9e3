"""The cost of a tick, and the number of ticks with a reader that polls continuously."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import psycopg

from benchmarks import measure, services, sql

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.sql import Composed

    from benchmarks.bench import Bench

DURABLE = True
"""A tick waits for the disk."""
POLL = 0.02
"""Seconds between two looks, as a busy delivery worker has it."""
TARGET = 3.0


def run(bench: Bench) -> measure.Outcome:
    """Compare a look that makes a tick with a commit of one row, and count ticks under load."""
    count, rounds, seconds = (50, 1, 2.0) if bench.quick else (500, 5, 10.0)
    with psycopg.connect(bench.url, autocommit=True) as writer, psycopg.connect(bench.url, autocommit=True) as reader:
        insert = sql.compose("insert_rows", table=services.TABLE, count=1)
        look = sql.read("tick")
        variants = {
            "look with a tick": lambda: _each(count, lambda: writer.execute(insert), lambda: reader.execute(look)),
            "look without": lambda: _each(count, lambda: None, lambda: reader.execute(look)),
            "commit of a row": lambda: _each(count, lambda: None, lambda: writer.execute(insert)),
        }
        found = measure.medians(measure.interleaved(variants, rounds=rounds, say=bench.say))
        typical = {name: one["median"] for name, one in found.items()}
        loads = [_under_load(bench.url, insert, reader, rate=rate, seconds=seconds) for rate in (200.0, 2000.0)]
    line = measure.Line(
        what="a look that makes a tick, against a commit of one captured row",
        ours=f"{typical['look with a tick'] * 1e6:.0f} µs",
        theirs=f"{typical['commit of a row'] * 1e6:.0f} µs",
        value=typical["look with a tick"] / typical["commit of a row"],
        bound="at most",
        target=TARGET,
    )
    quiet = typical["look without"] * 1e6
    many = [f"{ticks:.0f} ticks a second at {rate:.0f} transactions a second" for rate, ticks in loads]
    notes = (
        f"A look where nothing has come, and so no tick is made, takes {quiet:.0f} µs.",
        f"Medians of {rounds} rounds of {count}; the disk is waited for.",
        f"One reader that looks each {POLL * 1000:.0f} ms makes {', '.join(many)}.",
    )
    return measure.Outcome(lines=(line,), notes=notes)


def _each(count: int, before: Callable[[], object], work: Callable[[], object]) -> measure.Figures:
    times = []
    for _ in range(count):
        before()
        times.append(measure.timed(work))
    return {"median": measure.quantile(times, 0.5)}


def _under_load(
    url: str, insert: Composed, reader: psycopg.Connection[object], *, rate: float, seconds: float
) -> tuple[float, float]:
    """Return how many transactions there were a second, and how many ticks."""
    stop, done = threading.Event(), [0] * 4

    def write(number: int) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            due = time.monotonic()
            while not stop.is_set():
                connection.execute(insert)
                done[number] += 1
                due += len(done) / rate
                stop.wait(max(due - time.monotonic(), 0.0))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(len(done))]
    for thread in threads:
        thread.start()
    seen, began = set(), time.monotonic()
    while time.monotonic() - began < seconds:
        row = reader.execute(sql.read("tick")).fetchone()
        seen.add(row)
        stop.wait(POLL)
    took = time.monotonic() - began
    stop.set()
    for thread in threads:
        thread.join()
    return sum(done) / took, len(seen) / took
