"""System checks of the database: its labels, triggers and rights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core import checks
from django.db import DatabaseError

from pubsubpull import conf
from pubsubpull.capture import planning, registry, sql, triggers
from pubsubpull.operate import labels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.core.checks import CheckMessage


@checks.register("pubsubpull", checks.Tags.database)
def check_labels(*, databases: Iterable[str] | None = None, **_: Any) -> list[CheckMessage]:
    """W014: grants, subscriptions or the log name a label that no published model has."""
    if conf.problems(getattr(settings, conf.NAME, {})):
        return []
    using = conf.get().DATABASE
    if using not in (databases or ()) or triggers.log_schema(using) is None:
        return []
    try:
        unknown = labels.unknown(using)
    except DatabaseError:
        return []  # consumers or subscriptions have no tables yet
    return [
        checks.Warning(
            f"{label.label} is published no more, but is named by: {label.where}.",
            hint=labels.HINT.format(label=label.label),
            id="pubsubpull.W014",
        )
        for label in unknown
    ]


@checks.register("pubsubpull", checks.Tags.database)
def check_triggers(*, databases: Iterable[str] | None = None, **_: Any) -> list[CheckMessage]:
    """W004: triggers differ from the published models. W005: a model has no table. W006: a level does not fit.

    W050: another log captures a table. W051: this role may not call a function that the application needs.
    """
    messages: list[CheckMessage] = []
    for using in databases or ():
        plan = planning.plan(using)
        if plan is not None:
            messages += [*_actions(plan, using), *_without_table(plan, using), *_taken(plan, using)]
            messages += [*_levels(plan), *_rights(using)]
    return messages


def _actions(plan: planning.Plan, using: str) -> list[CheckMessage]:
    if not plan.actions:
        return []
    first, *others = plan.actions
    more = f", and {len(others):,} more," if others else ""
    return [
        checks.Warning(
            f"Database {using}: {first}{more} is to do; the triggers do not capture what is published.",
            hint="Run `manage.py migrate` or `manage.py pubsubpull_triggers --sync`; `pubsubpull_triggers` lists all.",
            id="pubsubpull.W004",
        )
    ]


def _without_table(plan: planning.Plan, using: str) -> list[CheckMessage]:
    return [
        checks.Warning(
            f"{label} is published but has no table in the database {using}.",
            hint="Migrate its app, create the table, or limit its publication with `using`.",
            id="pubsubpull.W005",
        )
        for label in plan.without_table
    ]


def _taken(plan: planning.Plan, using: str) -> list[CheckMessage]:
    return [
        checks.Warning(
            f"Database {using}: {table} is captured already.",
            hint="A table is captured into one log. Let one service publish it, and the other follow that.",
            id="pubsubpull.W050",
        )
        for table in plan.taken
    ]


def _levels(plan: planning.Plan) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    for label, table in plan.tables.items():
        publication = registry.get(label)
        if publication and publication.level == "statement" and table.reasons():
            messages.append(
                checks.Warning(
                    f"{label} is captured per statement, but {'; '.join(table.reasons())}: "
                    "changes may be missed or come in the wrong order.",
                    hint="Publish it with level='auto' or level='row'.",
                    obj=publication.model,
                    id="pubsubpull.W006",
                )
            )
    return messages


def _rights(using: str) -> list[CheckMessage]:
    ((role, missing),) = sql.run(
        using, sql.compose("queries/audit/missing", functions=sql.template("queries/audit/log_functions"))
    )
    if not missing:
        return []
    return [
        checks.Warning(
            f"Database {using}: The role {role} may not call {', '.join(missing)}, which the application needs.",
            hint=f"Where {role} is the application's role, GRANT EXECUTE on them, or run `manage.py "
            f"pubsubpull_protect --role {role}`, with the role that migrates.",
            id="pubsubpull.W051",
        )
    ]
