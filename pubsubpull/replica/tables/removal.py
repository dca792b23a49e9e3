"""Removal of rows that were deleted at the source: delete them, keep them, or mark them in a field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from psycopg import sql as psql

from pubsubpull import exceptions
from pubsubpull.capture import sql
from pubsubpull.replica.declaration import Column, Constant

if TYPE_CHECKING:
    from pubsubpull.replica.declaration import Replica

DELETE_ROWS, KEEP_ROWS = "delete", "keep"
"""The values of `on_delete` that are no field's name."""


def mark(model: type[models.Model], on_delete: str) -> Column | None:
    """Return the column that marks deleted rows, with its value for other rows; None if no column does.

    Raises `ReplicaError` if `on_delete` is neither `delete`, `keep` nor the name of a suitable field.
    """
    if on_delete in {DELETE_ROWS, KEEP_ROWS}:
        return None
    fields = {field.name: field for field in model._meta.local_concrete_fields}
    field = fields.get(on_delete) if isinstance(on_delete, str) else None
    if isinstance(field, models.DateTimeField) and field.null:
        return Column(name=str(field.column), source=Constant(None), field=field)
    if isinstance(field, models.BooleanField):
        return Column(name=str(field.column), source=Constant(False), field=field)
    raise exceptions.ReplicaError(
        f'{model._meta.label}: on_delete is "{DELETE_ROWS}", "{KEEP_ROWS}", or the name of a field that marks the row: '
        f"a BooleanField, or a DateTimeField with null=True; not {on_delete!r}."
    )


def parts(replica: Replica, target: psql.Composable) -> dict[str, psql.Composable]:
    """Return parts of SQL statements that remove rows, with the table's alias `t`.

    `clearing` begins a statement for all rows, `removing` a statement for rows that match a condition. `removable` is
    the condition for rows that are not removed already.
    """
    if replica.mark is None:
        clearing = sql.compose("queries/replica/delete_rows", target=target)
        removable = psql.SQL("false" if replica.on_delete == KEEP_ROWS else "true")
        return {"clearing": clearing, "removing": clearing + psql.SQL(" USING"), "removable": removable}
    name = psql.Identifier(replica.mark.name)
    is_flag = isinstance(replica.mark.field, models.BooleanField)
    # One moment for all rows that a page deletes.
    gone = psql.SQL("true" if is_flag else "transaction_timestamp()")
    clearing = sql.compose("queries/replica/mark_rows", target=target, mark=name, gone=gone)
    # IS NOT TRUE: a flag that is NULL counts as not marked.
    unmarked = psql.SQL("t.{} IS NOT TRUE" if is_flag else "t.{} IS NULL").format(name)
    return {"clearing": clearing, "removing": clearing + psql.SQL(" FROM"), "removable": unmarked}


def unmarked(replica: Replica) -> dict[str, list[bool | None]]:
    """Return the filter, as hashes take it, for rows that are not marked as deleted: accepted values by column."""
    if replica.mark is None:
        return {}
    return {replica.mark.name: [False] if isinstance(replica.mark.field, models.BooleanField) else [None]}
