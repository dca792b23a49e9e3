"""How long a change takes from its commit to the receiver, at 200 transactions a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg

from benchmarks import measure, services, sql

if TYPE_CHECKING:
    from benchmarks.bench import Bench

RATE = 200


def run(bench: Bench) -> measure.Outcome:
    """Insert one row a transaction; compare the time before its commit was asked for with that of its arrival."""
    rounds, seconds = (1, 2.0) if bench.quick else (3, 20.0)
    consumer, _ = services.consumer()
    waits: list[list[float]] = []
    with services.processes() as running, psycopg.connect(bench.url, autocommit=True) as writer:
        url = services.receiver(running)
        services.subscribe(consumer, "kept", f"{url}/kept/", batch=100, after="now")
        running.start("worker", "django", "pubsubpull_deliver")
        write(writer, 1.0)  # the worker has started, and every process is warm
        services.until(lambda: services.state(url)["count"] >= RATE, running)
        for number in range(rounds):
            services.state(url, "DELETE")
            sent = write(writer, seconds)
            services.until(lambda sent=sent: services.state(url)["count"] >= len(sent), running)
            arrived = {
                v: moment for moment, versions in services.http.request("GET", f"{url}/kept").json() for v in versions
            }
            waits.append([(arrived[version] - moment) * 1000 for version, moment in sent.items()])
            bench.say(f"round {number + 1} of {rounds}")
    lines = [_line(waits, share, target) for share, target in ((0.5, 25), (0.99, 80))]
    return measure.Outcome(
        lines=tuple(lines),
        notes=(f"{rounds} rounds of {seconds:.0f} s; writer, PostgreSQL, worker and receiver share the cores.",),
    )


def _line(waits: list[list[float]], share: float, target: float) -> measure.Line:
    """Return the median of the rounds' quantiles."""
    each = sorted(measure.quantile(found, share) for found in waits)
    value = each[len(each) // 2]
    return measure.Line(
        what=f"commit to PUT received at {RATE} transactions/s, p{share * 100:.0f}",
        ours=f"{value:.1f} ms",
        theirs="–",
        value=value,
        bound="at most",
        target=target,
        unit=" ms",
    )


def write(writer: psycopg.Connection[object], seconds: float, *, rate: float = RATE) -> dict[int, float]:
    """Insert rows at the rate, one a transaction; when each was sent, by its version."""
    insert = sql.compose("insert_rows", table=services.TABLE, count=1)
    sent: dict[int, float] = {}
    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        ahead = began + number / rate - time.perf_counter()
        if ahead > 0:
            time.sleep(ahead)
        moment = time.time()
        writer.execute(insert)
        sent[number] = moment
    first = writer.execute(sql.read("last_version")).fetchone()
    assert first
    last = int(first[0])  # type: ignore[index]
    return {last - len(sent) + 1 + number: moment for number, moment in sent.items()}
