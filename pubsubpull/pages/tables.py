"""The captured tables as the operators' page shows them, and rates since a sample."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

from pubsubpull.capture import planning, sql, triggers
from pubsubpull.operate import capture_health, samples
from pubsubpull.pages import charts
from pubsubpull.subscriptions.models import Sample

if TYPE_CHECKING:
    from pubsubpull.capture.planning import Plan

MINUTE = 50.0
"""A rate is over the time since a sample at least so old, in seconds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Since:
    """The counts of written and delivered changes some seconds ago; None if there is no sample of then."""

    seconds: float
    details: dict[str, dict[str, int] | None] | None

    def rate(self, kind: str, key: str, value: int, *, per: float = 1.0) -> str:
        """Return the growth of a counter in `per` seconds; a counter without a sample began at 0."""
        if self.details is None:
            return "—"
        grown = value - ((self.details.get(kind) or {}).get(key) or 0)
        return charts.count(max(grown, 0) / self.seconds * per)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A captured table; `wrong` is the fault of its triggers, or empty."""

    label: str
    name: str
    level: str
    wrong: str
    size: str
    rate: str


def read(since: Since, using: str) -> list[Table]:
    """Return the captured tables, tables with faulty triggers first."""
    plan = planning.plan(using)
    if plan is None:
        return []
    tables = _there(plan, since, using)
    tables += [_lost(label) for label in plan.without_table]
    return sorted(tables, key=lambda one: (not one.wrong, one.label))


def _there(plan: Plan, since: Since, using: str) -> list[Table]:
    """Return the tables that exist. Written rows are PostgreSQL's own count: it includes rolled back transactions."""
    wrong: dict[tuple[str, str], list[str]] = {}
    for action in plan.actions:
        wrong.setdefault((action.schema, action.table), []).append(f"{action.verb} {action.name}")
    by_row = {(one.schema, one.table) for one in plan.wanted if one.name == f"{triggers.NAME_PREFIX}row"}
    places = {label: (table.schema, table.table) for label, table in plan.tables.items()}
    query = sql.compose(
        "queries/samples/tables",
        schemas=[schema for schema, _ in places.values()],
        tables=[table for _, table in places.values()],
        writes=sql.template("queries/samples/writes"),
    )
    rows = {(schema, table): rest for schema, table, *rest in sql.run(using, query)}
    return [
        Table(
            label=label,
            name=".".join(place),
            level="row" if place in by_row else "statement",
            wrong="; ".join([*wrong[place], capture_health.RUN_SYNC]) if place in wrong else "",
            size=charts.size(rows[place][1]),
            rate=since.rate("tables", rows[place][0], rows[place][2], per=60),
        )
        for label, place in places.items()
        if place in rows
    ]


def _lost(label: str) -> Table:
    wrong = "it has no table here; run manage.py migrate"
    return Table(label=label, name="—", level="—", wrong=wrong, size="—", rate="—")


def since(now: dt.datetime, using: str) -> Since:
    """Return the sample that rates are reckoned from."""
    before, after = now - dt.timedelta(seconds=MINUTE), now - dt.timedelta(seconds=samples.DETAILED)
    there = Sample.objects.using(using).filter(at__lte=before, at__gte=after, details__isnull=False)
    sample = there.order_by("-at").first()
    if sample is None:
        return Since(seconds=0.0, details=None)
    return Since(seconds=(now - sample.at).total_seconds(), details=sample.details)
