"""What becomes of a replica's row that its source has no more: it is deleted, kept as it was, or marked in a field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from psycopg import sql as psql

from pubsubpull import exceptions
from pubsubpull.capture import sql
from pubsubpull.replica.declaration import Column, Constant

if TYPE_CHECKING:
    from pubsubpull.replica.declaration import Replica

DELETE, KEEP = "delete", "keep"


def mark(model: type[models.Model], on_delete: str) -> Column | None:
    """Return the column that marks a row which is gone, as it is while the row is there; None where none does.

    Raises `ReplicaError` where `on_delete` is neither of the words nor a field that can mark.
    """
    if on_delete in {DELETE, KEEP}:
        return None
    fields = {field.name: field for field in model._meta.local_concrete_fields}
    field = fields.get(on_delete) if isinstance(on_delete, str) else None
    if isinstance(field, models.DateTimeField) and field.null:
        return Column(name=str(field.column), source=Constant(None), field=field)
    if isinstance(field, models.BooleanField):
        return Column(name=str(field.column), source=Constant(False), field=field)
    raise exceptions.ReplicaError(
        f'{model._meta.label}: on_delete is "{DELETE}", "{KEEP}", or the name of a field that marks the row: a '
        f"BooleanField, or a DateTimeField with null=True; not {on_delete!r}."
    )


def parts(replica: Replica, target: psql.Composable) -> dict[str, psql.Composable]:
    """Return how rows `t` that are gone are dealt with, and of which that is done: the parts of a statement.

    `clearing` begins one of the whole table, `removing` one of the rows that match what follows.
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


def there(replica: Replica) -> dict[str, list[bool | None]]:
    """Return the values that mark the rows which the source still has, by column: as a filter of hashes takes them."""
    if replica.mark is None:
        return {}
    return {replica.mark.name: [False] if isinstance(replica.mark.field, models.BooleanField) else [None]}
