"""`@replicates`: check the declaration of a replica, and build its columns."""

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

    `fields` maps field names of this model to their values. A value is the name of a column of the source,
    `constant(value)`, `VERSION`, or a function of the source's row (a dict by column). None marks a field that is not
    replicated and never touched. A field that is not in `fields` takes the source's column with the same name.

    `where` filters rows: a dict of columns with the accepted value or a list of accepted values, or a function of the
    row that returns a bool. A row that no longer matches is deleted here.

    `key` names the fields that hold the source's primary key; by default, this model's primary key. These fields must
    be unique together.

    `on_failure` is the reaction to a change that fails. With `"wait"`, the replica tries again for ever. With
    `"park"`, the change is set aside after some attempts, with all further changes of its key, and the replica goes
    on.

    `on_delete` is the treatment of a row deleted at the source: `"delete"`, `"keep"` (unchanged), or the name of a
    field that marks the row: a BooleanField, or a DateTimeField with null=True.

    `write` is a function that writes the rows instead of pubsubpull. It takes a list of `Write`, in the transaction
    that moves the replica's cursor. If it raises, the replica fails.

    Raises `ReplicaError` for a declaration that cannot work.
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
    """Return the replica for these arguments of `replicates`. Raises `ReplicaError`."""
    label = model._meta.label
    _check(model, source, where=where, key=key, on_delete=on_delete, write=write)
    named = {_field(model, name).name: value for name, value in fields.items()}
    mark = removal.mark(model, on_delete)
    if mark is not None and named.setdefault(mark.field.name, mark.source) is not mark.source:
        raise exceptions.ReplicaError(f"{label}: {on_delete} marks deleted rows, so `fields` cannot fill it.")
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
            f"{label}: {', '.join(missing)} must take a column of the source's primary key; "
            "name the fields with that key by key=[…]."
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
    """Raise `ReplicaError` if the model, the source or an option is of a wrong kind."""
    label = model._meta.label
    if model._meta.abstract or model._meta.proxy or model._meta.parents:
        # With multi-table inheritance, a row is in two tables, and one statement could not write it.
        raise exceptions.ReplicaError(f"{label}: a replica is a model with one table of its own.")
    if source.count(".") != 1:
        raise exceptions.ReplicaError(f"{label}: the source is app_label.modelname, not {source!r}.")
    if isinstance(key, str):  # A text is iterable, too: each letter would be a field.
        raise exceptions.ReplicaError(f'{label}: key is a list of names, not the text "{key}".')
    if where is not None and not callable(where) and not isinstance(where, Mapping):
        raise exceptions.ReplicaError(f"{label}: where is a dict or a function, not {where!r}.")
    if write is not None and (not callable(write) or on_delete != removal.DELETE_ROWS):
        raise exceptions.ReplicaError(
            f"{label}: write must be a function. It gets the deleted rows, too, so it excludes on_delete."
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
    """Return the column of a field as a list; an empty list if the database or the user fills the field."""
    if getattr(field, "generated", False):
        return []  # PostgreSQL computes the column, and refuses any value for it.
    value = named.get(field.name, field.column)
    if value is None:
        return declaration.default(field)
    if not isinstance(value, str | Constant | Version) and not callable(value):
        raise exceptions.ReplicaError(
            f"{label}: {field.name} is a column's name, constant(…), VERSION, a function or None, not {value!r}."
        )
    return [Column(name=str(field.column), source=value, field=field)]
