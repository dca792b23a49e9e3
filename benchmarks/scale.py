"""A thousand subscriptions on one delivery process, and four delivery processes against one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks import measure, services, sql

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.bench import Bench
    from benchmarks.services import Processes
    from pubsubpull.models import Consumer

WIDE = "1,000 subscriptions, one process"
SPREAD = {"64 subscriptions, one process": 1, "64 subscriptions, four processes": 4}


def run(bench: Bench) -> measure.Outcome:
    """Write changes that all subscriptions want; the rates count from the first arrival to the last."""
    each, rounds = (2, 1) if bench.quick else (20, 3)
    consumer, _ = services.consumer()
    with services.processes() as running:
        url = services.receiver(running)
        variants: dict[str, Callable[[], measure.Figures]] = {WIDE: lambda: _rate(running, consumer, url, 1000, each)}
        for name, workers in SPREAD.items():
            variants[name] = lambda workers=workers: _rate(  # type: ignore[misc]
                running, consumer, url, 64, each * 16, workers=workers
            )
        found = measure.medians(measure.interleaved(variants, rounds=rounds, say=bench.say))
    rates = {name: figures["rate"] for name, figures in found.items()}
    one, four = (rates[name] for name in SPREAD)
    line = measure.Line(
        what="four delivery processes against one",
        ours=f"{four:,.0f}/s",
        theirs=f"{one:,.0f}/s",
        value=four / one,
        bound="at least",
        target=1,
    )
    notes = [
        "Notifications of one change a second: "
        + ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())
        + ".",
        f"The receiver, PostgreSQL and the processes share {os.cpu_count()} cores.",
    ]
    return measure.Outcome(lines=(line,), notes=tuple(notes))


def _rate(
    running: Processes, consumer: Consumer, url: str, many: int, each: int, *, workers: int = 1
) -> measure.Figures:
    """Deliver `each` changes, one a notification, to each of so many subscriptions, in order."""
    consumer.subscriptions.all().delete()
    for number in range(many):
        services.subscribe(consumer, f"s{number}", f"{url}/s{number}", batch=1, after="now")
    names = [f"worker {number}" for number in range(workers)]
    for name in names:
        running.start(name, "django", "pubsubpull_deliver")
    services.until(lambda: _shares(consumer) == [many // workers] * workers, running)
    services.state(url, "DELETE")
    sql.run(sql.compose("insert_rows", table=services.TABLE, count=each))
    services.until(lambda: services.state(url)["count"] >= many * each, running)
    found = services.state(url)
    for name in names:
        running.end(name)
    if found["disorder"]:
        raise AssertionError(f"{found['disorder']} changes came twice or out of order")
    return {"rate": (many * each - found["first_count"]) / (found["last"] - found["first"])}


def _shares(consumer: Consumer) -> list[int]:
    """Return how many subscriptions each process holds."""
    holders = [worker for worker in consumer.subscriptions.values_list("worker", flat=True) if worker]
    return sorted(holders.count(worker) for worker in set(holders))
