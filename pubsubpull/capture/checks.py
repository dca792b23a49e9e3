"""System checks for published tables that cannot be captured, or only with limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core import checks
from psycopg import sql as psql

from pubsubpull.capture import planning, registry, sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django.core.checks import CheckMessage

    from pubsubpull.capture.registry import Publication
    from pubsubpull.capture.tables import Facts


@checks.register("pubsubpull")
def check_shared_tables(**_: Any) -> list[CheckMessage]:
    """E040: a published model shares its table with another published model."""
    errors: list[CheckMessage] = []
    first: dict[tuple[str | None, str], Publication] = {}
    for publication in registry.all_publications().values():
        other = first.setdefault(publication.table, publication)
        if other is not publication and _share_database(other, publication):
            errors.append(
                checks.Error(
                    f"{publication.label} and {other.label} are published with the same table, "
                    f"{publication.model._meta.db_table}: its changes are captured as {other.label}'s only.",
                    hint="Publish one of them, or limit them to different databases with `using`.",
                    obj=publication.model,
                    id="pubsubpull.E040",
                )
            )
    return errors


@checks.register("pubsubpull", checks.Tags.database)
def check_tables(*, databases: Iterable[str] | None = None, **_: Any) -> list[CheckMessage]:
    """W040: a table cannot be captured. W041: a hidden column is still logged. W042 to W045: see below."""
    warnings: list[CheckMessage] = []
    # Django passes no databases unless a command names them: then the check opens no connection.
    for using in databases or ():
        plan = planning.plan(using)
        if plan is None:
            continue
        warnings += [
            checks.Warning(
                f"{label} is published but not captured in the database {using}: {reason}.",
                hint="Publish the tables behind it, remove the publication, or limit it with `using`.",
                id="pubsubpull.W040",
            )
            for label, reason in plan.refused.items()
        ]
        warnings += [
            checks.Warning(
                f"Database {using}: the publication of {label} hides {', '.join(names)}, but the installed triggers "
                "still write it into the log.",
                hint="Run `manage.py pubsubpull_triggers --sync`, then `pubsubpull_forget` to remove the values that "
                "the log has already.",
                id="pubsubpull.W041",
            )
            for label, names in plan.exposed.items()
        ]
        for label, table in plan.tables.items():
            warnings += _of(label, table, using)
        warnings += _money(plan, using)
    return warnings


def _money(plan: planning.Plan, using: str) -> Iterator[CheckMessage]:
    """W045: the text of a column's values depends on a setting of each session."""
    relations = [psql.Identifier(table.schema, table.table).as_string() for table in plan.tables.values()]
    columns = dict(sql.run(using, sql.compose("queries/capture/money_columns", relations=relations)))
    for place, label in enumerate(plan.tables, 1):
        publication = registry.get(label)
        hidden = [*publication.excluded_columns, *publication.masked_columns] if publication else []
        if names := [name for name in columns.get(place, []) if name not in hidden]:
            yield checks.Warning(
                f"Database {using}: {label} is published with money in {', '.join(names)}: its text depends on "
                "lc_monetary, and a session or a reader with another one takes it for another amount.",
                hint="Make it numeric, exclude it, or see to it that all databases, roles and sessions that write or "
                "read it have one lc_monetary.",
                id="pubsubpull.W045",
            )


def _of(label: str, table: Facts, using: str) -> Iterator[CheckMessage]:
    """W042: row level security hides rows. W043: keys may not be unique. W044: the table is unlogged."""
    name = f"{table.schema}.{table.table}, which is published as {label},"
    if table.secured:
        yield checks.Warning(
            f"Database {using}: {name} has row level security that holds for this role: its changes are captured, "
            "but the role does not see all rows, so instances, dumps, copies, baselines and resends are refused.",
            hint="Serve the API as a role with BYPASSRLS, or as the table's owner without FORCE ROW LEVEL SECURITY.",
            id="pubsubpull.W042",
        )
    if not table.unique_key:
        yield checks.Warning(
            f"Database {using}: {name} has no unique index on its NOT NULL key columns: "
            "readers take two rows with the same key for one row.",
            hint="Add a primary key, or a unique index of these columns with NOT NULL.",
            id="pubsubpull.W043",
        )
    if table.unlogged:
        yield checks.Warning(
            f"Database {using}: {name} is unlogged: a crash empties it without firing a trigger, and readers of its "
            "changes keep the rows.",
            hint="Make it a logged table (ALTER TABLE … SET LOGGED), or copy it to all readers again after a crash.",
            id="pubsubpull.W044",
        )


def _share_database(first: Publication, second: Publication) -> bool:
    return first.using is None or second.using is None or bool(set(first.using) & set(second.using))
