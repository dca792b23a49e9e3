"""`@replicates`: checks what a model says of the model that it follows, and makes its columns of that."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from django.core import exceptions as django_exceptions
from django.db import models

from pubsubpull import exceptions
from pubsubpull.replica import declaration
from pubsubpull.replica.declaration import Column, Constant, Replica, Version
from pubsubpull.replica.tables import removal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pubsubpull.replica.declaration import OnFailure, Where
    from pubsubpull.replica.tables.writing import Write

M = TypeVar("M", bound=type[models.Model])


def replicates(
    source: str,
    *,
    service: str,
    fields: Mapping[str, Any] | None = None,
    where: Where = None,
    key: Iterable[str] | None = None,
    on_failure: OnFailure = "wait",
    on_delete: str = "delete",
    write: Callable[[list[Write]], object] | None = None,
) -> Callable[[M], M]:
    """Let the decorated model follow the model `source` (`app_label.modelname`) of a service in PUBSUBPULL["SERVICES"].

    Each field takes the source's column of its own column's name, unless `fields` says otherwise of it: the name of
    another column, `constant(value)`, `VERSION`, a function of the source's row (a dict by column), or None: it is
    yours, and never touched. `where` picks the rows: a dict of columns with the value, or a list of the values, that
    they must have, or a function of the row; a row that stops matching is deleted here. `key` names the fields that
    hold the source's primary key, where they are not this model's own; they must be unique together. A change that it
    cannot take is waited for; with `on_failure="park"` it is set aside after some tries, with all that follows for its
    key, and the others go on.

    `on_delete` says what becomes of a row that the source has no more: `"delete"`, `"keep"`, which leaves it as it
    was, or the name of a field that marks it: a BooleanField, or a DateTimeField with null=True. `write` is a function
    that writes the rows in place of pubsubpull: it is called with a list of `Write`, in the transaction that moves the
    replica on; what it raises is a failure of the replica. Raises `ReplicaError`.
    """
    if not isinstance(source, str):
        raise exceptions.ReplicaError(f"replicates() takes the source's label, as 'shop.order', not {source!r}.")

    def decorate(model: M) -> M:
        replica = declare(
            model, source.lower(), service, fields or {}, where=where, key=key, on_delete=on_delete, write=write
        )
        declaration.add(dataclasses.replace(replica, on_failure=declaration.checked(on_failure, model._meta.label)))
        return model

    return decorate


def declare(
    model: type[models.Model],
    source: str,
    service: str,
    fields: Mapping[str, Any],
    *,
    where: Where,
    key: Iterable[str] | None,
    on_delete: str = removal.DELETE_ROWS,
    write: Callable[[list[Write]], object] | None = None,
) -> Replica:
    """Return the replica that is declared. Raises `ReplicaError`."""
    label = model._meta.label
    _check(model, source, where=where, key=key, on_delete=on_delete, write=write)
    named = {_field(model, name).name: value for name, value in fields.items()}
    mark = removal.mark(model, on_delete)
    if mark is not None and named.setdefault(mark.field.name, mark.source) is not mark.source:
        raise exceptions.ReplicaError(f"{label}: {on_delete} marks what is deleted, and takes over no column.")
    columns = tuple(column for field in model._meta.local_concrete_fields for column in _columns(label, field, named))
    keys = [_field(model, name) for name in key] if key is not None else _primary_key(model)
    replica = Replica(
        source=source,
        service=service,
        model=model,
        columns=columns,
        key=tuple(str(field.column) for field in keys),
        where=where,
        on_delete=on_delete,
        mark=mark,
        write=write,
    )
    taken = {column.name for column in columns if isinstance(column.source, str) and not column.kept}
    if missing := [name for name in replica.key if name not in taken]:
        raise exceptions.ReplicaError(
            f"{label}: {', '.join(missing)} must take over a column of the source's primary key; "
            "name the fields that do with key=[…]."
        )
    return replica


def _check(
    model: type[models.Model],
    source: str,
    *,
    where: Where,
    key: Iterable[str] | None,
    on_delete: str,
    write: Callable[[list[Write]], object] | None,
) -> None:
    """Raise `ReplicaError` if the model, the source or an option cannot be what it is declared to be."""
    label = model._meta.label
    if model._meta.abstract or model._meta.proxy or model._meta.parents:
        raise exceptions.ReplicaError(f"{label}: a replica is a model with one table of its own.")
    if source.count(".") != 1:
        raise exceptions.ReplicaError(f"{label}: the source is app_label.modelname, not {source!r}.")
    if isinstance(key, str):
        raise exceptions.ReplicaError(f'{label}: key is a list of names, not the text "{key}".')
    if where is not None and not callable(where) and not isinstance(where, Mapping):
        raise exceptions.ReplicaError(f"{label}: where is a dict or a function, not {where!r}.")
    if write is not None and (not callable(write) or on_delete != removal.DELETE_ROWS):
        raise exceptions.ReplicaError(
            f"{label}: write is a function, which sees to what is deleted, too; no on_delete."
        )


def _field(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    try:
        field = model._meta.get_field(name)
    except django_exceptions.FieldDoesNotExist:
        field = next((each for each in model._meta.local_concrete_fields if name == each.column), None)  # type: ignore[assignment]
    if field is None or getattr(field, "column", None) is None or field.many_to_many:
        raise exceptions.ReplicaError(f"{model._meta.label} has no column for a field {name!r}.")
    return field  # type: ignore[return-value]


def _primary_key(model: type[models.Model]) -> list[models.Field[Any, Any]]:
    return list(getattr(model._meta, "pk_fields", None) or [model._meta.pk])


def _columns(label: str, field: models.Field[Any, Any], named: Mapping[str, Any]) -> list[Column]:
    """Return the column of a field; none if the database or the user fills it."""
    if getattr(field, "generated", False):
        return []
    value = named.get(field.name, field.column)
    if value is None:
        return declaration.default(field)
    if not isinstance(value, str | Constant | Version) and not callable(value):
        raise exceptions.ReplicaError(
            f"{label}: {field.name} is a column's name, constant(…), VERSION, a function or None, not {value!r}."
        )
    return [Column(name=str(field.column), source=value, field=field)]
