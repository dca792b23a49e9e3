"""How long changes take to 180 receivers that are well, alone and beside 20 that hang until the time-out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psycopg

from benchmarks import latency, measure, services

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from benchmarks.services import Processes
    from pubsubpull.models import Consumer

WELL = 180
SICK = 20
RATE = 5.0
"""Transactions a second; each makes a notification to every subscription."""
READ_TIMEOUT = 2.0
ALONE, ELSEWHERE, BESIDE = "alone", "beside 20 that hang", "beside 20 that hang at the same host"
TARGET = 2.0


def run(bench: Bench) -> measure.Outcome:
    """Compare the time from commit to PUT received, of the 180, over rounds that turn."""
    rounds, seconds = (1, 4.0) if bench.quick else (3, 10.0)
    consumer, _ = services.consumer()
    with services.processes() as running, psycopg.connect(bench.url, autocommit=True) as writer:
        running.environment["BENCH_SETTINGS"] = json.dumps({"READ_TIMEOUT": READ_TIMEOUT})
        url, deaf = services.receiver(running), services.receiver(running, "deaf")
        variants = {
            name: lambda hang=hang: _round(running, consumer, writer, url, hang=hang, seconds=seconds)  # type: ignore[misc]
            for name, hang in ((ALONE, None), (ELSEWHERE, deaf), (BESIDE, url))
        }
        found = measure.medians(measure.interleaved(variants, rounds=rounds, say=bench.say))
    alone = found[ALONE]["p99"]
    lines = [
        measure.Line(
            what=f"commit to PUT received, p99 of {WELL} subscriptions, {name}",
            ours=f"{found[name]['p99']:.1f} ms",
            theirs=f"{alone:.1f} ms alone",
            value=found[name]["p99"] / alone,
            bound="at most",
            target=TARGET,
        )
        for name in (ELSEWHERE, BESIDE)
    ]
    load = f"{RATE:g} transactions/s, {RATE * WELL:.0f} notifications/s to those that are well"
    each = "; ".join(f"{name}: p50 {one['p50']:.1f} ms, p99 {one['p99']:.1f} ms" for name, one in found.items())
    notes = (
        f"{load}; a time-out of {READ_TIMEOUT:g} s; {rounds} rounds of {seconds:.0f} s; all processes share the cores.",
        f"Medians of the rounds: {each}.",
    )
    return measure.Outcome(lines=tuple(lines), notes=notes)


def _round(
    running: Processes,
    consumer: Consumer,
    writer: psycopg.Connection[object],
    url: str,
    *,
    hang: str | None,
    seconds: float,
) -> measure.Figures:
    """Deliver for so long; with `hang`, 20 subscriptions are at a path of that host that never answers."""
    consumer.subscriptions.all().delete()
    for number in range(WELL):
        services.subscribe(consumer, f"well{number}", f"{url}/kept/{number}", batch=100, after="now")
    for number in range(SICK if hang else 0):
        services.subscribe(consumer, f"sick{number}", f"{hang}/hang/{number}", batch=100, after="now")
    services.state(url, "DELETE")
    running.start("worker", "django", "pubsubpull_deliver")
    warm = latency.write(writer, 2.0, rate=RATE)
    services.until(lambda: services.state(url)["count"] >= WELL * len(warm), running)
    services.state(url, "DELETE")
    sent = latency.write(writer, seconds, rate=RATE)
    services.until(lambda: services.state(url)["count"] >= WELL * len(sent), running)
    came = services.http.request("GET", f"{url}/kept").json()
    running.end("worker")
    waits = [(moment - sent[version]) * 1000 for moment, versions in came for version in versions]
    return {"p50": measure.quantile(waits, 0.5), "p99": measure.quantile(waits, 0.99)}
