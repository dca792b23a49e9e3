"""Around a `migrate`: what is to be hidden is hidden before its migrations run, and the triggers follow after them."""

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
"""The migration that made the log, and takes it away."""


def before(*, using: str, plan: Sequence[tuple[Any, bool]] = (), **_: Any) -> None:
    """Have the functions follow a schema that was renamed, so that migrations may write, and hide what is to be hidden.

    Where the log is to go, drop its triggers instead. Raises `CommandError`, before anything is migrated, where a table
    was in use all the while.
    """
    schema = triggers.log_schema(using)
    if schema is None:
        return
    functions.replace(functions.state(schema, using).moved, using)
    if _goes(plan):
        syncing.drop_all(schema, using)
    elif plan:
        hide(schema, using)


def after(*, using: str, plan: Sequence[tuple[Any, bool]] = (), **_: Any) -> None:
    """Reconcile the triggers after each `migrate`, and start the log's history where it has none.

    Where the log has just gone, one that is further along the search path is another service's.
    """
    if not _goes(plan) and triggers.log_schema(using) is not None:
        syncing.sync(using)
        if not connections[using].in_atomic_block:
            feed.present(using)


def _goes(plan: Sequence[tuple[Any, bool]]) -> bool:
    """Say whether the log is taken away."""
    return any(backwards and (one.app_label, one.name) == FIRST_MIGRATION for one, backwards in plan)


def hide(schema: str, using: str) -> None:
    """Let the triggers in place hide what they hide and what is published as hidden now, by the present columns.

    A migration may write to a column that it has just renamed or added: by the next sync it would be in the log.
    """
    there, _others = triggers.installed(schema, using)
    actions, urgent = [], set()
    for publication, table in _published(using):
        columns = {(table.schema, table.table): table.columns, **dict.fromkeys(table.partitions, table.columns)}
        columns |= {child.qualified_name: child.columns for child in table.children}
        for (*place, name), found in there.items():
            where = (place[0], place[1])
            if where not in columns:
                continue
            told = ahead(found.arguments, publication, columns[where])
            trigger = triggers.build(name.removeprefix(triggers.NAME_PREFIX), where, told, schema=schema)
            if found.fingerprint not in {None, trigger.fingerprint}:
                actions.append(planning.Action.of("replace", trigger))
                if not told.hidden <= found.arguments.hidden:
                    urgent.add(where)
    left = {(one.schema, one.table) for one in syncing.perform(actions, using).left} & urgent
    if left:
        names = ", ".join(sorted(f"{schema}.{table}" for schema, table in left))
        raise CommandError(
            f"What is excluded or masked of {names} by now would reach the log while it is migrated: others had the "
            "table locked. Nothing has been migrated. Run the command again."
        )


def ahead(told: Arguments, publication: Publication, columns: tuple[str, ...]) -> Arguments:
    """Return what a trigger is to be told before the migrations: what was hidden, or will be, is.

    `columns` are those that its table has now.
    """
    if told.shown is None and not publication.hides:
        return told
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
    """Return the names that the key's columns have now, which the trigger may know by earlier ones."""
    pairs = list(zip(told.columns or (), columns, strict=False))
    if any(now for before, now in pairs if not before):  # a dump brought the table back: it has other numbers
        return told.keys
    names = dict(pairs)
    return tuple(names.get(key) or key for key in told.keys)


def _published(using: str) -> Iterator[tuple[Publication, Facts]]:
    published = list(triggers.publications(using))
    for publication, table in zip(published, tables.of(published, using), strict=True):
        if table is not None:
            yield publication, table
