"""Constraint errors: find the replica that fails, and explain constraints of tables that are no replicas."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, transaction

from pubsubpull import exceptions
from pubsubpull.base.threads import first_line
from pubsubpull.capture import sql
from pubsubpull.replica import declaration, staging
from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pubsubpull.replica.declaration import Replica
    from pubsubpull.replica.effects import Effect
    from pubsubpull.replica.pages import Page

FOREIGN_KEY, UNIQUE = "23503", "23505"
"""The SQLSTATE of each violation."""
NOT_OURS = (
    "{error}. {table} is no replica: let its rows refer only to rows that stay here, delete them in a handler of the "
    "replica, or declare its foreign key with db_constraint=False"
)


def failure(effects: Collection[Effect], error: Exception, *, using: str) -> exceptions.ReplicaFailed:
    """Return the failure of the effect that owns the table with the violated constraint.

    If a table outside `effects` refers to an effect's table, the failure belongs to the effect referred to.
    """
    schema, table, constraint = _named_by(error)
    ends: list[tuple[Any, ...]] = [(schema, table)]
    if constraint and _state(error) == FOREIGN_KEY:
        names = {"schema": schema, "table": table, "constraint": constraint}
        ends += sql.run(using, sql.compose("queries/replica/referred", **names))
    tables = [effect.table for effect in effects if effect.table]
    own = [_with_table(tables, *end) for end in ends]
    failed = next(filter(None, own), None)
    if failed is None:
        return exceptions.ReplicaFailed(next(iter(effects)).name, first_line(error))
    missing = [end for end, replica in zip(ends, own, strict=True) if replica is None]
    others = [_with_table(declaration.all_replicas().values(), *end) for end in missing]
    if other := next(filter(None, others), None):
        reason = f"it needs {other.name}, which is not as far: {first_line(error)}"
        return exceptions.ReplicaFailed(failed.name, reason, needs=other.name)
    if own[0] is None:  # The referring table belongs to no replica at all, so a person has to act.
        reason = NOT_OURS.format(error=first_line(error), table=f"{schema}.{table}")
        return exceptions.ReplicaFailed(failed.name, reason)
    return exceptions.ReplicaFailed(failed.name, first_line(error) + _unfilled(failed, error))


def unreadable_change(
    effects: Collection[Effect], pages: Iterable[Page], error: Exception, *, using: str
) -> exceptions.ReplicaFailed:
    """Return the failure that names the first change in the pages that PostgreSQL cannot read."""
    by_source = {effect.source: effect for effect in effects}
    for page in pages:
        for item in jsontext.row(page.body)["items"]:
            effect = by_source.get(item["model"])
            if effect and (reason := _unread(dataclasses.replace(page, body=_alone(item)), effect, using)):
                change = f"version {item['version']} of {item['model']} {item['key']}"
                return exceptions.ReplicaFailed(effect.name, f"{change} cannot be read by this database: {reason}")
    return exceptions.ReplicaFailed(next(iter(effects)).name, first_line(error))


def _alone(item: Any) -> str:
    return jsontext.dumps({"items": [item]})


def _unread(page: Page, effect: Effect, using: str) -> str | None:
    """Stage a page and roll back; return the reason if it cannot be staged, else None."""
    try:
        with transaction.atomic(using):
            staging.begin(using)
            staging.stage([page], effects=[effect], using=using)
            transaction.set_rollback(True, using)  # Only a trial: the page is not to be applied.
    except DatabaseError as error:
        return first_line(error)
    return None


def lacks_row(error: exceptions.ReplicaFailed) -> bool:
    """Return True if a replica failed for want of a row that another replica may still bring."""
    cause = error.__cause__
    if cause is None or _state(cause) != FOREIGN_KEY:
        return False
    schema, table, _ = _named_by(cause)
    return _with_table(declaration.all_replicas().values(), schema, table) is not None


def _state(error: BaseException) -> str | None:
    return getattr(error.__cause__, "sqlstate", None)


def _unfilled(replica: Replica, error: Exception) -> str:
    """Return a sentence that names the source of a NOT NULL column that got no value; else an empty text."""
    name = getattr(getattr(error.__cause__, "diag", None), "column_name", None)
    sources = (column.source for column in replica.columns if name is not None and column.name == name)
    if not isinstance(source := next(sources, None), str):
        return ""
    return f". It is filled from {replica.source}'s column {source}: is there one, not excluded, and never null?"


def _named_by(error: BaseException) -> tuple[str | None, str | None, str | None]:
    """Return the schema, the table and the constraint in PostgreSQL's error."""
    diag: Any = getattr(error.__cause__, "diag", None)
    return tuple(getattr(diag, f"{part}_name", None) for part in ("schema", "table", "constraint"))  # type: ignore[return-value]


def _with_table(replicas: Iterable[Replica], schema: str | None, table: str | None) -> Replica | None:
    """Return the replica with a table; None if there is none."""
    # A declaration may name the table without its schema; a full match goes first.
    named = [replica for replica in replicas if replica.table[1] == table]
    return next((replica for where in (schema, None) for replica in named if replica.table[0] == where), None)
