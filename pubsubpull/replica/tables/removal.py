"""Rows that the source has no more: they are deleted, kept as they were, or marked in a field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from psycopg import sql as psql

from pubsubpull import exceptions
from pubsubpull.capture import sql
from pubsubpull.replica.declaration import Column, Constant

if TYPE_CHECKING:
    from pubsubpull.replica.declaration import Replica

DELETE_ROWS, KEEP = "delete", "keep"


def mark(model: type[models.Model], on_delete: str) -> Column | None:
    """Return the column that marks a row as gone, with its value while the row is not; None if there is none.

    Raises `ReplicaError` if `on_delete` is neither of its words nor a field that can mark.
    """
    if on_delete in {DELETE_ROWS, KEEP}:
        return None
    fields = {field.name: field for field in model._meta.local_concrete_fields}
    field = fields.get(on_delete) if isinstance(on_delete, str) else None
    if isinstance(field, models.DateTimeField) and field.null:
        return Column(name=str(field.column), source=Constant(None), field=field)
    if isinstance(field, models.BooleanField):
        return Column(name=str(field.column), source=Constant(False), field=field)
    raise exceptions.ReplicaError(
        f'{model._meta.label}: on_delete is "{DELETE_ROWS}", "{KEEP}", or the name of a field that marks the row: a '
        f"BooleanField, or a DateTimeField with null=True; not {on_delete!r}."
    )


def parts(replica: Replica, target: psql.Composable) -> dict[str, psql.Composable]:
    """Return the parts of a statement that removes rows `t`, and the condition for rows that can be removed.

    `clearing` begins a statement for the whole table, `removing` one for the rows that match a condition.
    """
    if replica.mark is None:
        clearing = sql.compose("queries/replica/delete_rows", target=target)
        removable = psql.SQL("false" if replica.on_delete == KEEP else "true")
        return {"clearing": clearing, "removing": clearing + psql.SQL(" USING"), "removable": removable}
    name = psql.Identifier(replica.mark.name)
    is_flag = isinstance(replica.mark.field, models.BooleanField)
    gone = psql.SQL("true" if is_flag else "transaction_timestamp()")
    clearing = sql.compose("queries/replica/mark_rows", target=target, mark=name, gone=gone)
    unmarked = psql.SQL("t.{} IS NOT TRUE" if is_flag else "t.{} IS NULL").format(name)
    return {"clearing": clearing, "removing": clearing + psql.SQL(" FROM"), "removable": unmarked}


def unmarked(replica: Replica) -> dict[str, list[bool | None]]:
    """Return the values of rows that are not marked as gone, by column: the filter that hashes take."""
    if replica.mark is None:
        return {}
    return {replica.mark.name: [False] if isinstance(replica.mark.field, models.BooleanField) else [None]}
