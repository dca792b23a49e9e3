"""A replica of a million rows: copied, followed, compared; beside django-cqrs over RabbitMQ."""

from __future__ import annotations

import contextlib
import json
import statistics
import threading
import time
from typing import TYPE_CHECKING

import psycopg
from django.conf import settings
from django.db import connection, transaction
from django.test import signals
from psycopg import sql as psql

from benchmarks import broker, cqrs, measure, models, services, sql
from pubsubpull.replica import follower
from pubsubpull.replica import services as replicas
from pubsubpull.replica.compare import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.bench import Bench
    from benchmarks.models import Row
    from benchmarks.services import Processes

DURABLE = True
"""Each row that django-cqrs applies is a commit: on a server that does not wait for the disk, that would not tell."""
RATE = 50
"""Rows a second that are written one by one while their way is timed."""
ROUNDS = 3
"""How often a rate is measured; what is given is the median."""
TURNS = 7
"""How often each side is timed, in turn: of few rounds, the slowest hundredth is a matter of luck."""
Waits = list[float]


def run(bench: Bench) -> measure.Outcome:
    """Copy, follow and compare; then do the parts that django-cqrs supports with both packages."""
    rows, few, seconds = (5_000, 200, 1.0) if bench.quick else (1_000_000, 3_000, 8.0)
    notes, lines = [], []
    with services.processes() as running:
        _serve(running, bench)
        copied, compared, followed = _whole(rows, bench)
        notes.append(f"Copied {rows:,} rows: {copied:,.0f}/s. Compared as equal in {compared:.1f} s.")
        notes.append(f"One follower applies {followed:,.0f} changes a second.")
        lines.append(_at_most("compare equal tables, seconds", compared, 10, " s"))
        with cqrs.broker(running) if broker.installed() else contextlib.nullcontext():
            for statement in ("vacuum", "settled"):
                sql.run(sql.compose(statement))
            sides = [_Ours(running), *([_Theirs(running)] if broker.installed() else [])]
            waits = _in_turns(sides, bench, seconds)
            left = [_made_and_deleted(side, few) for side in sides]
            lines.append(_at_most("rows made and deleted at once: left in the replica", left[0], 0, ""))
            notes += [_said(side.name, found) for side, found in zip(sides, waits, strict=True)]
            if not broker.installed():
                notes.append("django-cqrs is left out: there is no RabbitMQ (apt-get install rabbitmq-server).")
                return measure.Outcome(lines=tuple(lines), notes=tuple(notes))
            bench.say("measures django-cqrs on what has queued up")
            rate = statistics.median(_backlog(running, few) for _ in range(ROUNDS))
    notes.append(f"django-cqrs left {left[1]:,} rows of {few:,} that were made and deleted at once.")
    lines.append(_against("changes applied, a second", followed, rate, 100))
    lines.extend(_slower(share, *waits) for share in (0.5, 0.99))
    return measure.Outcome(lines=tuple(lines), notes=tuple(notes))


class _Side:
    """A source, its replica, and the process that copies changes between them."""

    name: str
    source: type[Row]
    replica: type[Row]

    def __init__(self, running: Processes) -> None:
        self.running = running

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Let it run, and begin when it has brought a row over."""
        self.start()
        services.until(lambda: _arrives(self.source, self.replica), self.running)
        try:
            yield
        finally:
            self.stop()


class _Ours(_Side):
    name = "pubsubpull"
    source, replica = models.Captured, models.Copied

    def start(self) -> None:
        self.running.start("follower", "django", "pubsubpull_follow")

    def stop(self) -> None:
        self.running.end("follower")


class _Theirs(_Side):
    name = "django-cqrs"
    source, replica = models.Master, models.Mirror

    def start(self) -> None:
        cqrs.start(self.running)

    def stop(self) -> None:
        cqrs.stop(self.running)


def _in_turns(sides: Sequence[_Side], bench: Bench, seconds: float) -> list[list[Waits]]:
    """Write rows at a steady rate, for each side in turn, and time them; each side's rounds."""
    found: list[list[Waits]] = [[] for _ in sides]
    for number in range(TURNS):
        for side, waits in zip(sides, found, strict=True):
            with side.at_work():
                waits.append(_one_by_one(side.source, side.replica, bench.url, seconds))
            bench.say(f"round {number + 1}: {side.name}: p50 {measure.quantile(waits[-1], 0.5):.1f} ms")
    return found


def _serve(running: Processes, bench: Bench) -> None:
    """Serve the source, and tell the followers where it is."""
    url = running.serve("service", "benchmarks.wsgi", threads=4)
    token = services.consumer()[1]
    service = {"bench": {"url": f"{url}/pubsubpull/", "token": token}}
    running.environment["BENCH_SETTINGS"] = json.dumps({"SERVICES": service})
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "SERVICES": service}
    signals.setting_changed.send(sender=settings, setting="PUBSUBPULL", value=settings.PUBSUBPULL, enter=True)
    bench.say("serves")


def _whole(rows: int, bench: Bench) -> tuple[float, float, float]:
    """Copy all rows, compare them, and follow a fifth as many changes: rows/s, seconds, changes/s."""
    sql.run(sql.compose("insert_rows", table=services.TABLE, count=rows))
    sql.run(sql.compose("analyze"))
    following = follower.Follower("bench", using="default")
    copied = measure.timed(following.run_once)
    bench.say(f"copied {rows:,} rows in {copied:.1f} s")
    sql.run(sql.compose("analyze"))
    compared = measure.timed(_compare)
    bench.say(f"compared in {compared:.1f} s")
    changes = rows // 5
    taken = []
    for _ in range(ROUNDS):
        sql.run(sql.compose("touch_rows", table=services.TABLE, count=changes))
        taken.append(measure.timed(following.run_once))
        bench.say(f"followed {changes:,} changes in {taken[-1]:.1f} s")
    return rows / copied, compared, changes / statistics.median(taken)


def _compare() -> None:
    with replicas.get("bench").client() as client:
        found = judge.compare(judge.get("benchmarks.copied"), client, using="default")
    if found.differences or found.suspects:
        raise AssertionError(f"{found.suspects} rows differ")


def _one_by_one(source: type[Row], replica: type[Row], url: str, seconds: float) -> Waits:
    """Write rows at a steady rate and time each from its commit until it is seen, in milliseconds."""
    for _ in range(20):
        _make(source)
    last = int(source.objects.latest("pk").pk)
    _until(lambda: replica.objects.filter(pk=last).exists())
    seen: dict[int, float] = {}
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(replica, url, last, seen, done))
    watcher.start()
    sent: dict[int, float] = {}
    began = time.perf_counter()
    for number in range(int(RATE * seconds)):
        time.sleep(max(0.0, began + number / RATE - time.perf_counter()))
        key, committed = _committed(source)
        sent[key] = committed
    _until(lambda: sent.keys() <= seen.keys())
    done.set()
    watcher.join()
    return [(seen[key] - moment) * 1000 for key, moment in sent.items()]


def _make(source: type[Row]) -> int:
    return int(source.objects.create(customer="c", email="e", total=1, status="new", quantity=1, notes="n" * 90).pk)


def _committed(source: type[Row]) -> tuple[int, float]:
    """Make a row; return its key and the moment of its commit, before any message about it."""
    moments: list[float] = []
    with transaction.atomic():
        transaction.on_commit(lambda: moments.append(time.perf_counter()))
        key = _make(source)
    return key, moments[0]


def _watch(replica: type[Row], url: str, last: int, seen: dict[int, float], done: threading.Event) -> None:
    """Look at the replica all the time; note when each row beyond `last` is there, though later ones were sooner."""
    table = psql.Identifier(replica._meta.db_table)
    with psycopg.connect(url, autocommit=True) as watching:
        while not done.is_set():
            here = watching.execute(sql.compose("ids", table=table, last=last)).fetchall()
            moment = time.perf_counter()
            for (key,) in here:  # type: ignore[misc]
                seen.setdefault(key, moment)
            while last + 1 in seen:
                last += 1
            time.sleep(0.0005)


def _made_and_deleted(side: _Side, few: int) -> int:
    """Make and delete rows, one right after the other; how many of them the replica has in the end."""
    with side.at_work():
        for _ in range(few):
            side.source.objects.get(pk=_make(side.source)).delete()
        last = _make(side.source)
        _until(lambda: side.replica.objects.filter(pk=last).exists())
        time.sleep(1.0)  # messages that it overtook may still come; nothing reports their arrival
    tables = {"source": side.source, "replica": side.replica}
    named = {name: psql.Identifier(model._meta.db_table) for name, model in tables.items()}
    ((left,),) = sql.run(sql.compose("left_over", **named))
    return int(left)


def _backlog(running: Processes, few: int) -> float:
    """Let django-cqrs apply the messages queued while its consumer was stopped: rows/s from the first to the last."""
    first = _make(models.Master)
    for _ in range(few):
        _make(models.Master)
    mirrored = models.Mirror.objects.filter(pk__gt=first)
    cqrs.start(running)
    _until(mirrored.exists)
    began, had = time.perf_counter(), mirrored.count()
    _until(lambda: mirrored.count() >= few)
    cqrs.stop(running)
    return (few - had) / (time.perf_counter() - began)


def _arrives(source: type[Row], replica: type[Row]) -> bool:
    """Say whether a row comes over: the consumers have begun."""
    key = _make(source)
    time.sleep(0.2)
    return replica.objects.filter(pk=key).exists()


def _until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + services.LIMIT
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("it did not come about")
        time.sleep(0.01)
    connection.ensure_connection()


def _at_most(what: str, value: float, target: float, unit: str) -> measure.Line:
    return measure.Line(
        what=what, ours=f"{value:.1f}{unit}", theirs="–", value=value, bound="at most", target=target, unit=unit
    )


def _against(what: str, ours: float, theirs: float, target: float) -> measure.Line:
    return measure.Line(
        what=f"{what}, against django-cqrs",
        ours=f"{ours:,.0f}/s",
        theirs=f"{theirs:,.0f}/s",
        value=ours / theirs,
        bound="at least",
        target=target,
    )


def _quantile(rounds: Sequence[Waits], share: float) -> float:
    return statistics.median(measure.quantile(waits, share) for waits in rounds)


def _slower(share: float, ours: Sequence[Waits], theirs: Sequence[Waits]) -> measure.Line:
    mine, other = _quantile(ours, share), _quantile(theirs, share)
    return measure.Line(
        what=f"committed to visible, p{share * 100:.0f}, against django-cqrs",
        ours=f"{mine:.1f} ms",
        theirs=f"{other:.1f} ms",
        value=mine / other,
        bound="at most",
        target=1,
    )


def _said(who: str, rounds: Sequence[Waits]) -> str:
    p50, p99 = _quantile(rounds, 0.5), _quantile(rounds, 0.99)
    return f"{who}, {RATE} rows a second: committed to visible p50 {p50:.1f} ms, p99 {p99:.1f} ms."
