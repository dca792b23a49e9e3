"""The cost of capture for statements that write 50,000 rows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from django.db import connection, transaction
from psycopg import sql as psql

import pubsubpull
from benchmarks import measure, sql

if TYPE_CHECKING:
    from benchmarks.bench import Bench

VARIANTS = ("plain", "captured", "byrow", "tracked")
LOGS = ("pubsubpull_change", "pubsubpull_request", "by_row_log", "benchmarks_trackedevent")
STATEMENTS = ("insert", "update", "delete")


def run(bench: Bench) -> measure.Outcome:
    """Insert, update and delete the same rows in each table, within a request; compare the cost for each row."""
    count, rounds = (2_000, 1) if bench.quick else (50_000, 9)
    found = measure.medians(
        measure.interleaved(
            {name: lambda name=name: _round(name, count) for name in VARIANTS}, rounds=rounds, say=bench.say
        )
    )
    added = {name: {s: (found[name][s] - found["plain"][s]) * 1e6 / count for s in STATEMENTS} for name in VARIANTS}
    plain = ", ".join(f"{s} {found['plain'][s] * 1e6 / count:.1f} µs" for s in STATEMENTS)
    lines = [
        _line(f"{s} {count:,} rows: added a row, against a row-level trigger", added, "byrow", s, 0.6)
        for s in STATEMENTS
    ]
    lines.append(
        _line(f"insert {count:,} rows: added a row, against django-pghistory", added, "tracked", "insert", 1.0)
    )
    return measure.Outcome(lines=tuple(lines), notes=(f"The plain table takes, a row: {plain}.",))


def _line(what: str, added: dict[str, measure.Figures], other: str, statement: str, target: float) -> measure.Line:
    ours, theirs = added["captured"][statement], added[other][statement]
    return measure.Line(
        what=what,
        ours=f"{ours:.1f} µs",
        theirs=f"{theirs:.1f} µs",
        value=ours / theirs,
        bound="at most",
        target=target,
    )


def _round(name: str, count: int) -> measure.Figures:
    """Time the three statements on an empty table, each in a transaction with a request's context."""
    table = psql.Identifier(f"benchmarks_{name}")
    tables = psql.SQL(", ").join([table, *map(psql.Identifier, LOGS)])
    sql.run(sql.compose("empty", tables=tables))
    figures = {}
    for statement in STATEMENTS:
        parts = {"count": count} if statement == "insert" else {}
        written = sql.compose(f"{statement}_rows", table=table, **parts)
        began = time.perf_counter()
        with pubsubpull.context(source="bench"), transaction.atomic():
            _write(written)
        figures[statement] = time.perf_counter() - began
    return figures


def _write(statement: psql.Composed) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL by_row.request = 1")
        cursor.execute(statement)
