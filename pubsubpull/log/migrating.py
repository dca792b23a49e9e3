"""The triggers around a `migrate`: newly hidden columns are hidden before it, and the triggers follow after it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError
from django.db import connections

from pubsubpull.capture import functions, planning, syncing, tables, triggers
from pubsubpull.log import feed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pubsubpull.capture.arguments import Arguments
    from pubsubpull.capture.registry import Publication
    from pubsubpull.capture.tables import Facts

FIRST_MIGRATION = ("pubsubpull", "0001_log")
"""The migration that creates the log and, backwards, removes it."""


def before(*, using: str, plan: Sequence[tuple[Any, bool]] = (), **_: Any) -> None:
    """Move the functions to a renamed schema, and hide the columns that are excluded or masked by now.

    If the plan removes the log, drop the triggers instead. Raises `CommandError`, before anything is migrated, if a
    table was in use all the time.
    """
    schema = triggers.log_schema(using)
    if schema is None:
        return
    # First: the migrations may write, and would fail in functions that name the schema's old name.
    functions.replace(functions.state(schema, using).moved, using)
    if _goes(plan):
        syncing.drop_all(schema, using)
    elif plan:
        hide(schema, using)


def after(*, using: str, plan: Sequence[tuple[Any, bool]] = (), **_: Any) -> None:
    """Reconcile the triggers after each `migrate`, and start the log's history if there is none."""
    # If this plan removed the log, a log that is further along the search path belongs to another service.
    if not _goes(plan) and triggers.log_schema(using) is not None:
        syncing.sync(using)
        # A tick is valid once it is committed: within a caller's transaction, as in a test, that may never be.
        if not connections[using].in_atomic_block:
            feed.present(using)


def _goes(plan: Sequence[tuple[Any, bool]]) -> bool:
    """True if the plan removes the log."""
    return any(backwards and (migration.app_label, migration.name) == FIRST_MIGRATION for migration, backwards in plan)


def hide(schema: str, using: str) -> None:
    """Have the installed triggers hide, besides what they hide, the columns that are published as hidden by now.

    Raises `CommandError` if a table with a newly hidden column was locked all the time.
    """
    # A migration may write to a column that it has just added or renamed. The sync after the migrations would be too
    # late: the values would be in the log by then.
    installed, _others = triggers.installed(schema, using)
    actions, urgent = [], set()
    for publication, table in _published(using):
        columns = {(table.schema, table.table): table.columns, **dict.fromkeys(table.partitions, table.columns)}
        columns |= {child.qualified_name: child.columns for child in table.children}
        for (table_schema, table_name, name), present in installed.items():
            where = (table_schema, table_name)
            if where not in columns:
                continue
            arguments = ahead(present.arguments, publication, columns[where])
            trigger = triggers.build(name.removeprefix(triggers.NAME_PREFIX), where, arguments, schema=schema)
            if present.fingerprint not in {None, trigger.fingerprint}:
                actions.append(planning.Action.of("replace", trigger))
                # Only these must not wait for the sync: the others would merely show less than they may.
                if not arguments.hidden <= present.arguments.hidden:
                    urgent.add(where)
    locked = {(action.schema, action.table) for action in syncing.perform(actions, using).left} & urgent
    if locked:
        names = ", ".join(sorted(f"{schema}.{table}" for schema, table in locked))
        raise CommandError(
            f"Columns of {names} that are excluded or masked by now would reach the log during the migrations: other "
            "sessions kept the table locked. Nothing has been migrated. Run the command again."
        )


def ahead(told: Arguments, publication: Publication, columns: tuple[str, ...]) -> Arguments:
    """Return a trigger's arguments for the time of the migrations: they hide what either version of the code hides.

    `told` are the trigger's present arguments, and `columns` the present columns of its table.
    """
    if told.shown is None and not publication.hides:
        return told
    # A column keeps its number when it is renamed: this finds the new names of hidden columns.
    renamed = [
        name
        for name, before in zip(columns, told.columns or (), strict=False)
        if name and before in told.hidden - {name}
    ]
    excluded = tuple(dict.fromkeys([*told.excluded, *publication.excluded_columns, *renamed]))
    masked = [name for name in (*told.masked, *publication.masked_columns) if name not in excluded]
    shown = columns if told.shown is None else told.shown
    keys = _keys_by_number(told, columns)
    new = dataclasses.replace(told, keys=keys, excluded=excluded, masked=tuple(dict.fromkeys(masked)))
    return new.hiding(columns, filter(None, [*shown, *publication.shown_columns]))


def _keys_by_number(told: Arguments, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the present names of the key's columns. The trigger may know a column by an earlier name."""
    pairs = list(zip(told.columns or (), columns, strict=False))
    # A table that a dump restored has other numbers of columns, so that they say nothing of renames.
    if any(now for before, now in pairs if not before):
        return told.keys
    names = dict(pairs)
    return tuple(names.get(key) or key for key in told.keys)


def _published(using: str) -> Iterator[tuple[Publication, Facts]]:
    published = list(triggers.publications(using))
    for publication, table in zip(published, tables.of(published, using), strict=True):
        if table is not None:
            yield publication, table
