"""Which replica a constraint failed, and what to do where the constraint is of a table that is no replica."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, transaction

from pubsubpull import exceptions
from pubsubpull.base.threads import first_line
from pubsubpull.capture import sql
from pubsubpull.replica import declaration
from pubsubpull.replica.appliers import staged
from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pubsubpull.replica.declaration import Follows
    from pubsubpull.replica.pages import Page

FOREIGN_KEY, UNIQUE = "23503", "23505"
NOT_OURS = (
    "{error}. {table} is no replica: let its rows refer only to rows that are here and stay, take them away in a "
    "handler of the replica, or declare its foreign key with db_constraint=False"
)


def failure(replicas: Collection[Follows], error: Exception, *, using: str) -> exceptions.ReplicaFailed:
    """Return the failure of the replica in whose table a constraint does not hold.

    Where another table refers to a replica, it is that of the replica that is referred to.
    """
    schema, table, constraint = _place(error)
    ends: list[tuple[Any, ...]] = [(schema, table)]
    if constraint and _state(error) == FOREIGN_KEY:
        names = {"schema": schema, "table": table, "constraint": constraint}
        ends += sql.run(using, sql.compose("queries/replica/referred", **names))
    here = [_of(replicas, *end) for end in ends]
    mine = next(filter(None, here), None)
    if mine is None:
        return exceptions.ReplicaFailed(next(iter(replicas)).name, first_line(error))
    elsewhere = [
        _of(declaration.all_replicas().values(), *end) for end, one in zip(ends, here, strict=True) if one is None
    ]
    if other := next(filter(None, elsewhere), None):
        reason = f"it needs {other.name}, which is not as far: {first_line(error)}"
        return exceptions.ReplicaFailed(mine.name, reason, needs=other.name)
    if here[0] is None:
        reason = NOT_OURS.format(error=first_line(error), table=f"{schema}.{table}")
        return exceptions.ReplicaFailed(mine.name, reason)
    return exceptions.ReplicaFailed(mine.name, first_line(error) + _unfilled(mine, error))


def unreadable_change(
    replicas: Collection[Follows], given: Iterable[Page], error: Exception, *, using: str
) -> exceptions.ReplicaFailed:
    """Return the failure of the replica of whose source PostgreSQL cannot read a change in the pages, and name that."""
    follows = {one.source: one for one in replicas}
    for page in given:
        for item in jsontext.row(page.body)["items"]:
            one = follows.get(item["model"])
            if one and (reason := _unread(dataclasses.replace(page, body=_alone(item)), one, using)):
                place = f"version {item['version']} of {item['model']} {item['key']}"
                return exceptions.ReplicaFailed(one.name, f"{place} cannot be read by this database: {reason}")
    return exceptions.ReplicaFailed(next(iter(replicas)).name, first_line(error))


def _alone(item: Any) -> str:
    return jsontext.dumps({"items": [item]})


def _unread(page: Page, follows: Follows, using: str) -> str | None:
    """Try to lay a page out, and take that back; return why it cannot be."""
    try:
        with transaction.atomic(using):
            staged.open_page(using)
            staged.lay([page], replicas=[follows], using=using)
            transaction.set_rollback(True, using)
    except DatabaseError as error:
        return first_line(error)
    return None


def lacks_row(error: exceptions.ReplicaFailed) -> bool:
    """Say whether a replica failed for want of a row that it refers to: others may have to bring that first."""
    cause = error.__cause__
    if cause is None or _state(cause) != FOREIGN_KEY:
        return False
    schema, table, _ = _place(cause)
    return _of(declaration.all_replicas().values(), schema, table) is not None


def _state(error: BaseException) -> str | None:
    return getattr(error.__cause__, "sqlstate", None)


def _unfilled(replica: declaration.Replica, error: Exception) -> str:
    """Say, of a column that got no value and needs one, what should have filled it."""
    name = getattr(getattr(error.__cause__, "diag", None), "column_name", None)
    sources = (column.source for column in replica.columns if name is not None and column.name == name)
    if not isinstance(source := next(sources, None), str):
        return ""
    return f". It is filled from {replica.source}'s column {source}: is there one, not excluded, and never null?"


def _place(error: BaseException) -> tuple[str | None, str | None, str | None]:
    """Return the schema, the table and the name of the constraint that PostgreSQL tells of."""
    diag: Any = getattr(error.__cause__, "diag", None)
    return tuple(getattr(diag, f"{part}_name", None) for part in ("schema", "table", "constraint"))  # type: ignore[return-value]


def _of(replicas: Iterable[Follows], schema: str | None, table: str | None) -> declaration.Replica | None:
    """Return the replica with a table, which it may name without its schema."""
    named = [one for one in replicas if isinstance(one, declaration.Replica) and one.table[1] == table]
    return next((one for where in (schema, None) for one in named if one.table[0] == where), None)
