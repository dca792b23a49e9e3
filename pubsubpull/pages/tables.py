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
"""The least age in seconds of the sample that a rate is computed from."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Since:
    """The counts of written and delivered changes at an earlier moment."""

    seconds: float
    """The seconds since then."""
    details: dict[str, dict[str, int] | None] | None
    """The counts by kind and key; None if there is no sample of that time."""

    def rate(self, kind: str, key: str, value: int, *, per: float = 1.0) -> str:
        """Return the growth of a counter in `per` seconds, as text. A counter without a sample began at 0."""
        if self.details is None:
            return "—"
        grown = value - ((self.details.get(kind) or {}).get(key) or 0)
        # PostgreSQL's counters may be reset, and would then seem to shrink.
        return charts.count(max(grown, 0) / self.seconds * per)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A captured table, in texts."""

    label: str
    """The label of the model."""
    name: str
    """The table's schema and name."""
    level: str
    """The level of its triggers: row or statement."""
    wrong: str
    """The fault of its triggers; empty if there is none."""
    size: str
    """The size on the disk."""
    rate: str
    """Rows written a minute."""


def read(since: Since, using: str) -> list[Table]:
    """Return the captured tables, tables with faulty triggers first."""
    plan = planning.plan(using)
    if plan is None:
        return []
    tables = _existing(plan, since, using)
    tables += [_lost(label) for label in plan.without_table]
    return sorted(tables, key=lambda table: (not table.wrong, table.label))


def _existing(plan: Plan, since: Since, using: str) -> list[Table]:
    """Return the tables that exist. Written rows are PostgreSQL's own count: it includes rolled back transactions."""
    wrong: dict[tuple[str, str], list[str]] = {}
    for action in plan.actions:
        wrong.setdefault((action.schema, action.table), []).append(f"{action.verb} {action.name}")
    by_row = {
        (trigger.schema, trigger.table) for trigger in plan.wanted if trigger.name == f"{triggers.NAME_PREFIX}row"
    }
    names = {label: (table.schema, table.table) for label, table in plan.tables.items()}
    # One query for all tables: the page fetches itself every few seconds.
    query = sql.compose(
        "queries/samples/tables",
        schemas=[schema for schema, _ in names.values()],
        tables=[table for _, table in names.values()],
        writes=sql.template("queries/samples/writes"),
    )
    rows = {(schema, table): rest for schema, table, *rest in sql.run(using, query)}
    return [
        Table(
            label=label,
            name=".".join(name),
            level="row" if name in by_row else "statement",
            wrong="; ".join([*wrong[name], capture_health.RUN_SYNC]) if name in wrong else "",
            size=charts.size(rows[name][1]),
            rate=since.rate("tables", rows[name][0], rows[name][2], per=60),
        )
        for label, name in names.items()
        # A table may have been dropped since the plan was read.
        if name in rows
    ]


def _lost(label: str) -> Table:
    wrong = "it has no table here; run manage.py migrate"
    return Table(label=label, name="—", level="—", wrong=wrong, size="—", rate="—")


def since(now: dt.datetime, using: str) -> Since:
    """Return the counts of the latest sample that rates can be computed from."""
    before, after = now - dt.timedelta(seconds=MINUTE), now - dt.timedelta(seconds=samples.DETAILED)
    # The details of older samples are stripped.
    usable = Sample.objects.using(using).filter(at__lte=before, at__gte=after, details__isnull=False)
    sample = usable.order_by("-at").first()
    if sample is None:
        return Since(seconds=0.0, details=None)
    return Since(seconds=(now - sample.at).total_seconds(), details=sample.details)
