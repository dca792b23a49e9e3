"""System checks of published tables: which cannot be captured, or not well, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core import checks

from pubsubpull.capture import registry, triggers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django.core.checks import CheckMessage

    from pubsubpull.capture.registry import Publication
    from pubsubpull.capture.tables import Facts


@checks.register("pubsubpull")
def check_shared_tables(**_: Any) -> list[CheckMessage]:
    """E040: two published models have one table."""
    found: list[CheckMessage] = []
    first: dict[tuple[str | None, str], Publication] = {}
    for publication in registry.all_publications().values():
        other = first.setdefault(publication.table, publication)
        if other is not publication and _meet(other, publication):
            found.append(
                checks.Error(
                    f"{publication.label} and {other.label} are published with the same table, "
                    f"{publication.model._meta.db_table}: its changes are captured as {other.label}'s only.",
                    hint="Publish one of them, or limit them to different databases with `using`.",
                    obj=publication.model,
                    id="pubsubpull.E040",
                )
            )
    return found


@checks.register("pubsubpull", checks.Tags.database)
def check_tables(*, databases: Iterable[str] | None = None, **_: Any) -> list[CheckMessage]:
    """W040: a table cannot be captured. W041: what is to be hidden is still shown. W042 to W044: see `_of`."""
    found: list[CheckMessage] = []
    for using in databases or ():
        plan = triggers.plan(using)
        if plan is None:
            continue
        found += [
            checks.Warning(
                f"{label} is published but not captured in the database {using}: {reason}.",
                hint="Publish the tables that it is made of, take the publication away, or limit it with `using`.",
                id="pubsubpull.W040",
            )
            for label, reason in plan.refused.items()
        ]
        found += [
            checks.Warning(
                f"Database {using}: {', '.join(names)} of {label} is to be hidden, and is written into the log "
                "until the triggers are replaced.",
                hint="Run `manage.py pubsubpull_triggers --sync`; `pubsubpull_forget` takes out what the log has.",
                id="pubsubpull.W041",
            )
            for label, names in plan.exposed.items()
        ]
        for label, table in plan.tables.items():
            found += _of(label, table, using)
    return found


def _of(label: str, table: Facts, using: str) -> Iterator[CheckMessage]:
    """W042: row level security hides rows from this role. W043: keys may not be unique. W044: a crash empties it."""
    name = f"{table.schema}.{table.table}, which is published as {label},"
    if table.secured:
        yield checks.Warning(
            f"Database {using}: {name} has row level security that holds for this role: its changes are captured, "
            "but its rows cannot be read whole, so instances, dumps, copies, baselines and resends are refused.",
            hint="Let a role with BYPASSRLS, or the table's owner without FORCE ROW LEVEL SECURITY, serve the API.",
            id="pubsubpull.W042",
        )
    if not table.unique_key:
        yield checks.Warning(
            f"Database {using}: {name} has no unique index on its key that is without nulls: "
            "rows with the same key are taken for one another.",
            hint="Add a primary key, or a unique index of these columns with NOT NULL.",
            id="pubsubpull.W043",
        )
    if table.unlogged:
        yield checks.Warning(
            f"Database {using}: {name} is unlogged: a crash empties it, which no trigger sees, and readers of its "
            "changes keep the rows.",
            hint="Make it a logged table, or copy it anew to all readers after a crash.",
            id="pubsubpull.W044",
        )


def _meet(one: Publication, other: Publication) -> bool:
    return one.using is None or other.using is None or bool(set(one.using) & set(other.using))
