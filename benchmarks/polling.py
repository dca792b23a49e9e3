"""The cost of idle subscriptions: CPU of the worker and of its PostgreSQL sessions."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from django.db import connection

from benchmarks import measure, services, sql

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from benchmarks.services import Processes
    from pubsubpull.models import Consumer

NOBODY = "http://127.0.0.1:1/"
TICKS = os.sysconf("SC_CLK_TCK")


def run(bench: Bench) -> measure.Outcome:
    """Let a worker idle with one subscription and with 1,000, and compare its CPU time."""
    many, seconds, rounds = (20, 2.0, 1) if bench.quick else (1_000, 20.0, 3)
    connection.ensure_connection()
    if not _cpu(_sessions()):
        return measure.Outcome(notes=("Left out: PostgreSQL's processes are not on this machine, or it has no /proc.",))
    services.changes(1_000)
    consumer, _ = services.consumer()
    with services.processes() as running:
        found = measure.medians(
            measure.interleaved(
                {
                    "one": lambda: _idle(running, consumer, 1, seconds),
                    "many": lambda: _idle(running, consumer, many, seconds),
                },
                rounds=rounds,
                say=bench.say,
            )
        )
    one, all_ = found["one"], found["many"]
    line = measure.Line(
        what=f"CPU of polling, {many:,} idle subscriptions against one",
        ours=f"{all_['cpu'] * 100:.2f} %",
        theirs=f"{one['cpu'] * 100:.2f} %",
        value=all_["cpu"] / one["cpu"],
        bound="at most",
        target=2,
    )
    parts = [
        f"{name} {f['worker'] * 100:.2f} % and {f['postgres'] * 100:.2f} %"
        for name, f in (("one", one), (f"{many:,}", all_))
    ]
    return measure.Outcome(
        lines=(line,), notes=(f"Of a core, the worker and its PostgreSQL sessions: {'; '.join(parts)}.",)
    )


def _idle(running: Processes, consumer: Consumer, count: int, seconds: float) -> measure.Figures:
    consumer.subscriptions.all().delete()
    for number in range(count):
        services.subscribe(consumer, f"s{number}", NOBODY, batch=100, after="now")
    before = set(_sessions())
    running.start("worker", "django", "pubsubpull_deliver")
    process = running.pid("worker")
    services.until(lambda: consumer.subscriptions.filter(worker=None).count() == 0, running)
    time.sleep(min(3.0, seconds))  # the time to start is not measured
    sessions = set(_sessions()) - before
    marks = _cpu([process]), _cpu(sessions), time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - marks[2]
    worker, postgres = (_cpu([process]) - marks[0]) / passed, (_cpu(sessions) - marks[1]) / passed
    running.end("worker")
    return {"cpu": worker + postgres, "worker": worker, "postgres": postgres}


def _sessions() -> list[int]:
    return [pid for (pid,) in sql.run(sql.compose("sessions"))]


def _cpu(processes: object) -> float:
    """Return the seconds of CPU that processes have used, all threads of each; 0 where they are not here."""
    used = 0
    for process in processes:  # type: ignore[attr-defined]
        try:
            fields = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        used += int(fields[11]) + int(fields[12])
    return used / TICKS
