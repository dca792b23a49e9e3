"""Delivering 20,000 changes with PUT, ordered, beside a Celery task a change, unordered."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import socket
from typing import TYPE_CHECKING

from benchmarks import measure, services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.bench import Bench
    from benchmarks.services import Processes
    from pubsubpull.models import Consumer

TARGETS = {"one ordered subscription, batch 1": 2, "50 subscriptions, batch 1": 6, "one subscription, batch 100": 50}
CELERY = "a Celery task each"


def run(bench: Bench) -> measure.Outcome:
    """Deliver the same number of changes in each way; the rate counts from the first arrival to the last."""
    count, rounds = (1_000, 1) if bench.quick else (20_000, 3)
    consumer, _ = services.consumer()
    with services.processes() as running, contextlib.ExitStack() as stack:
        url = services.receiver(running)
        variants: dict[str, Callable[[], measure.Figures]] = {
            name: lambda name=name: _push(running, consumer, url, name, count)  # type: ignore[misc]
            for name in TARGETS
        }
        notes = []
        if shutil.which("redis-server"):
            stack.enter_context(_redis(running))
            variants[CELERY] = lambda: _celery(running, url, count)
        else:
            notes.append("Celery is left out: there is no redis-server on the PATH (apt-get install redis-server).")
        found = measure.medians(measure.interleaved(variants, rounds=rounds, say=bench.say))
    rates = {name: figures["rate"] for name, figures in found.items()}
    notes.append("Changes a second: " + ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items()) + ".")
    notes.append(f"50 subscriptions get {count // 50:,} changes each, so that every way makes {count:,} deliveries.")
    return measure.Outcome(lines=tuple(_lines(rates)), notes=tuple(notes))


def _lines(rates: dict[str, float]) -> Iterator[measure.Line]:
    if CELERY in rates:
        for name, target in TARGETS.items():
            yield measure.Line(
                what=f"{name}, against {CELERY}",
                ours=f"{rates[name]:,.0f}/s",
                theirs=f"{rates[CELERY]:,.0f}/s",
                value=rates[name] / rates[CELERY],
                bound="at least",
                target=target,
            )


def _push(running: Processes, consumer: Consumer, url: str, name: str, count: int) -> measure.Figures:
    """Deliver by a worker of ours; every subscription must get its changes in order."""
    consumer.subscriptions.all().delete()
    many = 50 if name.startswith("50") else 1
    services.changes(count // many)
    for number in range(many):
        services.subscribe(consumer, f"s{number}", f"{url}/s{number}", batch=100 if name.endswith("100") else 1)
    services.state(url, "DELETE")
    running.start("worker", "django", "pubsubpull_deliver")
    found = _arrived(running, url, count)
    running.end("worker")
    if found["disorder"]:
        raise AssertionError(f"{name}: {found['disorder']} changes came twice or out of order")
    return {"rate": _rate(found, count)}


def _celery(running: Processes, url: str, count: int) -> measure.Figures:
    """Deliver by Celery: all tasks are queued already when its workers start."""
    from benchmarks import sql, tasks

    services.changes(count)
    tasks.app.control.purge()
    rows = sql.run(sql.compose("items", count=count))
    with tasks.app.producer_pool.acquire(block=True) as producer:
        for (item,) in rows:
            tasks.deliver.apply_async((f"{url}/celery", json.loads(item)), producer=producer)
    services.state(url, "DELETE")
    running.start(
        "celery", "celery", "-A", "benchmarks.tasks", "worker", "-P", "prefork", "-c", "2", "--loglevel", "WARNING"
    )
    found = _arrived(running, url, count)
    running.end("celery")
    return {"rate": _rate(found, count)}


def _arrived(running: Processes, url: str, count: int) -> dict[str, float]:
    services.until(lambda: services.state(url)["count"] >= count, running)
    return services.state(url)


def _rate(found: dict[str, float], count: int) -> float:
    return (count - found["first_count"]) / (found["last"] - found["first"])


@contextlib.contextmanager
def _redis(running: Processes) -> Iterator[None]:
    """Run a redis-server of our own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ["BENCH_REDIS_URL"] = running.environment["BENCH_REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
    running.start("redis", "benchmarks.redis_server", str(port), str(running.folder))
    services.until(lambda: _answers(port), running)
    importlib.import_module("benchmarks.tasks").app.conf.broker_url = os.environ["BENCH_REDIS_URL"]
    yield


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
