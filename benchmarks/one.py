"""The cost of capture for the update of a single row, in autocommit, through the ORM."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from psycopg import sql as psql

import pubsubpull
from benchmarks import measure, models, sql

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.bench import Bench

ROWS = 1000


def run(bench: Bench) -> measure.Outcome:
    """Update one row after another in each table; compare the time of one update."""
    count, rounds = (50, 1) if bench.quick else (500, 15)
    for model in (models.Plain, models.Captured, models.Tracked):
        sql.run(sql.compose("insert_rows", table=psql.Identifier(model._meta.db_table), count=ROWS))
    variants = {
        "plain": lambda: _block(models.Plain, count),
        "tracked": lambda: _block(models.Tracked, count),
        "captured": lambda: _block(models.Captured, count),
        "one request": lambda: _in_one_request(count),
        "a request each": lambda: _block(models.Captured, count, _request),
    }
    found = measure.medians(measure.interleaved(variants, rounds=rounds, say=bench.say))
    took = {name: figures["update"] for name, figures in found.items()}
    return measure.Outcome(
        lines=(
            _line("update one row, against django-pghistory", took["captured"], took["tracked"], 1.1),
            _line("in a request that goes on, against no request", took["one request"], took["captured"], 1.25),
            _line("in a request of its own, against no request", took["a request each"], took["captured"], 1.25),
        ),
        notes=(f"An update of the plain table takes {took['plain']:.0f} µs.",),
    )


def _line(what: str, ours: float, theirs: float, target: float) -> measure.Line:
    return measure.Line(
        what=what, ours=f"{ours:.0f} µs", theirs=f"{theirs:.0f} µs", value=ours / theirs, bound="at most", target=target
    )


def _request() -> contextlib.AbstractContextManager[Any]:
    return pubsubpull.context(source="http", user="anna", path="/orders/17/", method="PUT")


def _in_one_request(count: int) -> measure.Figures:
    with _request():
        return _block(models.Captured, count)


def _block(
    model: type[models.Row],
    count: int,
    around: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
) -> measure.Figures:
    """Update `count` rows, each in a transaction of its own; microseconds for one."""
    began = time.perf_counter()
    for number in range(count):
        with around():
            model.objects.filter(pk=number % ROWS + 1).update(status=f"{began:.6f}")
    return {"update": (time.perf_counter() - began) * 1e6 / count}
