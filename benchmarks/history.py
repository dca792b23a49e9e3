"""Histories and earlier states, read from a log of many millions of changes."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from hashlib import md5
from typing import TYPE_CHECKING, Any

from django.test import override_settings

import pubsubpull
from benchmarks import measure, pages, services, sql
from benchmarks.models import Captured
from pubsubpull import exceptions
from pubsubpull.log import feed, partitions

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.bench import Bench

LIMIT = 50.0
"""How long a page may take, in milliseconds: tens of them."""
BATCH = 500_000
STEP = 1.0
"""Seconds between two changes."""
EACH = 20
"""Changes of a request."""
USERS = 1000
PAGE = 50
SUBSCRIPTIONS = 1000


def run(bench: Bench) -> measure.Outcome:
    """Fill the log, and ask for pages of each kind at random; give how long all but one in twenty take at most."""
    count = bench.count or (20_000 if bench.quick else 10_000_000)
    _fill(count, bench.say)
    pages.subscriptions(SUBSCRIPTIONS, 2 * count)
    pages.samples()
    sql.run(sql.compose("analyze"))
    return ask(count, calls=5 if bench.quick else 200, say=bench.say)


def ask(count: int, *, calls: int, say: Callable[[str], None]) -> measure.Outcome:
    """Ask for pages of each kind from a log that is full."""
    with override_settings(MIDDLEWARE=pages.MIDDLEWARE, ROOT_URLCONF="benchmarks.admin_urls"):
        browser = pages.client()
        asked = _kinds(count, random.Random(7))
        lines = [_line(name, one, calls, LIMIT, say) for name, one in asked.items()]
        operators = "the operators' page"
        lines.append(_line(operators, lambda: pages.ask(browser, pages.OPERATORS), calls, pages.LIMIT, say))
    note = (
        f"{count:,} changes of {_objects(count):,} objects by {USERS:,} people in {count // EACH:,} requests, one in a "
        f"hundred of one object, and after them {count:,} small ones of a single hour: {2 * count:,} in all. "
        f"{SUBSCRIPTIONS:,} subscriptions. Pages of {PAGE}, each asked for {calls:,} times, at random places; the "
        "median, and what 19 in 20 are within."
    )
    return measure.Outcome(lines=tuple(lines), notes=(note,))


def _line(name: str, one: Callable[[], Any], calls: int, limit: float, say: Callable[[str], None]) -> measure.Line:
    took = [measure.timed(one) * 1000 for _ in range(calls)]
    usual, most = measure.quantile(took, 0.5), measure.quantile(took, 0.95)
    say(f"{name}: {usual:.1f} ms")
    return measure.Line(
        what=name, ours=f"{usual:.1f} ms", theirs="–", value=most, bound="at most", target=limit, unit=" ms"
    )


def _kinds(count: int, chance: random.Random) -> dict[str, Callable[[], Any]]:
    """Return the kinds of requests, each as a function that asks for another position at each call."""
    now, span = dt.datetime.now(tz=dt.UTC), count * STEP

    def moment() -> dt.datetime:
        return now - dt.timedelta(seconds=chance.random() * span)

    def key() -> int:
        return chance.randint(1, _objects(count))

    def one_day(**more: Any) -> Any:
        since = moment()
        return pubsubpull.history(since=since, until=since + dt.timedelta(days=1), limit=PAGE, **more)

    def request() -> uuid.UUID:
        number = chance.randint(1, max(count // EACH, 1))
        return uuid.UUID(md5(str(number).encode(), usedforsecurity=False).hexdigest())

    return {
        "an object's": lambda: pubsubpull.history(Captured, key(), limit=PAGE),
        "that of an object with very many": lambda: pubsubpull.history(Captured, "0", limit=PAGE),
        "an object's, by a column": lambda: pubsubpull.history(Captured, key(), column="status", limit=PAGE),
        "a person's": lambda: pubsubpull.history(user=str(chance.randrange(USERS)), limit=PAGE),
        "a request's": lambda: pubsubpull.history(request=request(), limit=PAGE),
        "a day of a model": lambda: one_day(models=[Captured]),
        "a day of a model that hardly changes, which looks at all others'": lambda: one_day(models=["benchmarks.rare"]),
        "the log's end": lambda: pubsubpull.history(limit=PAGE),
        "an object at a moment": lambda: _as_of(key(), moment()),
        "an object with very many changes at a moment": lambda: _as_of(0, moment()),
    }


def _as_of(key: int, moment: dt.datetime) -> object:
    try:
        return pubsubpull.as_of(Captured, key, moment)
    except exceptions.HistoryError:  # it has no change at all
        return None


def _objects(count: int) -> int:
    return max(count // 10, 1)


def _fill(count: int, say: Callable[[str], None]) -> None:
    there = partitions.read(feed.present(), "default")
    low = partitions.end(there)
    while low <= 2 * count:
        partitions.make(low, low + 10_000_000, "default")
        low += 10_000_000
    sql.run(sql.compose("past_requests", count=count // EACH, step=STEP * EACH, users=USERS))
    parts: dict[str, Any] = {
        "count": count,
        "step": STEP,
        "each": EACH,
        "objects": _objects(count),
        "model": services.MODEL,
    }
    for first in range(1, count + 1, BATCH):
        last = min(first + BATCH - 1, count)
        sql.run(sql.compose("past_changes", first=first, last=last, **parts))
        say(f"{last:,} of {count:,} changes")
    for first in range(1, count + 1, BATCH):
        last = min(first + BATCH - 1, count)
        sql.run(sql.compose("small_changes", first=first, last=last, model=services.MODEL))
        say(f"{last:,} of {count:,} small changes")
