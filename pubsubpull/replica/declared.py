"""What is replicated: which local model follows which model of which service, and how its columns are made."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from django.core import exceptions as django_exceptions
from django.db import models

from pubsubpull import exceptions
from pubsubpull.capture import registry

if TYPE_CHECKING:
    from collections.abc import Iterable

M = TypeVar("M", bound=type[models.Model])
Row = dict[str, Any]
Where = Mapping[str, Any] | Callable[[Row], bool] | None


@dataclasses.dataclass(frozen=True)
class Constant:
    """A field that is the same in each row."""

    value: Any


class _Version:
    """The type of VERSION."""

    def __repr__(self) -> str:
        return "VERSION"


VERSION = _Version()
"""Given for a field: the version of the change that the row is of, 0 where it has none in the source's log."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """How a local column is made: of a source column (a text), a constant, VERSION, or by a function of the row.

    `kept`: it is given to a new row only, and afterwards left as it is.
    """

    name: str
    source: str | Constant | _Version | Callable[[Row], Any]
    field: models.Field[Any, Any] = dataclasses.field(repr=False)
    kept: bool = False

    @property
    def computed(self) -> bool:
        """Say whether Python makes the value, row by row."""
        return callable(self.source)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Follows:
    """What follows a model of a service."""

    source: str
    service: str

    @property
    def name(self) -> str:
        """How it is known."""
        raise NotImplementedError

    @property
    def shape(self) -> str:
        """A digest of the declaration: where it differs from what was copied, the rows must be copied again."""
        return "none"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listener(Follows):
    """Handlers that are told of a model's changes, without a local table."""

    @property
    def name(self) -> str:
        """How it is known."""
        return f"on_change {self.service} {self.source}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replica(Follows):
    """A local model that follows a model of a service. Columns are named as in the databases."""

    model: type[models.Model]
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    where: Where = None
    statements: dict[Any, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    """Statements that were made for it once, by what they were made for."""

    @property
    def name(self) -> str:
        """The local model's label, by which the replica is known."""
        return self.model._meta.label_lower

    @property
    def table(self) -> tuple[str | None, str]:
        """The local table's schema, None for the search path's, and its name."""
        return registry.split_table(self.model._meta.db_table)

    @property
    def source_columns(self) -> list[str]:
        """The source's columns that are taken over as they are, each once."""
        return sorted({column.source for column in self.columns if isinstance(column.source, str)})

    @property
    def key_source(self) -> list[str]:
        """The source's columns that the local key is made of."""
        by_name = {column.name: column.source for column in self.columns}
        return [str(by_name[name]) for name in self.key]

    @property
    def in_python(self) -> bool:
        """Say whether each row is looked at by a function."""
        return callable(self.where) or any(column.computed for column in self.columns)

    @property
    def shape(self) -> str:
        """A digest of the declaration: where it differs from what was copied, the rows must be copied again."""
        made = [[column.name, _shown(column.source), column.kept] for column in self.columns]
        where = _shown(self.where) if callable(self.where) else self.where
        text = json.dumps([self.source, self.service, self.key, sorted(made), where], default=str, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _shown(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}" if hasattr(value, "__qualname__") else repr(value)


_replicas: dict[str, Replica] = {}


def replicates(
    source: str,
    *,
    service: str,
    fields: Mapping[str, Any] | None = None,
    where: Where = None,
    key: Iterable[str] | None = None,
) -> Callable[[M], M]:
    """Let the decorated model follow the model `source` (`app_label.modelname`) of a service in PUBSUBPULL["SERVICES"].

    Each field takes the source's column of its own column's name, unless `fields` says otherwise of it: the name of
    another column, `constant(value)`, `VERSION`, a function of the source's row (a dict by column), or None: it is
    yours, and never touched. `where` picks the rows: a dict of columns with the value, or a list of the values, that
    they must have, or a function of the row; a row that stops matching is deleted here. `key` names the fields that
    hold the source's primary key, where they are not this model's own; they must be unique together.
    Raises `ReplicaError`.
    """

    def decorate(model: M) -> M:
        _replicas[model._meta.label_lower] = _declared(
            model, source.lower(), service, fields or {}, where=where, key=key
        )
        return model

    return decorate


def constant(value: Any) -> Constant:
    """Return what gives a replica's field the same value in each row."""
    return Constant(value)


def all_replicas() -> dict[str, Replica]:
    """Return every replica by its name, the local model's label, sorted."""
    return dict(sorted(_replicas.items()))


def get(model: str | type[models.Model]) -> Replica | None:
    """Return the replica of a local model, given as a class or its label; None where it is none."""
    return _replicas.get(model.lower() if isinstance(model, str) else model._meta.label_lower)


def forget(model: type[models.Model]) -> None:
    """Take a declaration back. The rows stay, and follow no more."""
    _replicas.pop(model._meta.label_lower, None)


def _declared(
    model: type[models.Model],
    source: str,
    service: str,
    given: Mapping[str, Any],
    *,
    where: Where,
    key: Iterable[str] | None,
) -> Replica:
    label = model._meta.label
    if model._meta.abstract or model._meta.proxy or model._meta.parents:
        raise exceptions.ReplicaError(f"{label}: a replica is a model with one table of its own.")
    if source.count(".") != 1:
        raise exceptions.ReplicaError(f"{label}: the source is app_label.modelname, not {source!r}.")
    if isinstance(key, str):
        raise exceptions.ReplicaError(f'{label}: key is a list of names, not the text "{key}".')
    if where is not None and not callable(where) and not isinstance(where, Mapping):
        raise exceptions.ReplicaError(f"{label}: where is a dict or a function, not {where!r}.")
    named = {_field(model, name).name: value for name, value in given.items()}
    columns = tuple(column for field in model._meta.local_concrete_fields for column in _columns(label, field, named))
    keys = [_field(model, name) for name in key] if key is not None else _primary_key(model)
    replica = Replica(
        source=source,
        service=service,
        model=model,
        columns=columns,
        key=tuple(str(field.column) for field in keys),
        where=where,
    )
    taken = {column.name for column in columns if isinstance(column.source, str) and not column.kept}
    if missing := [name for name in replica.key if name not in taken]:
        raise exceptions.ReplicaError(
            f"{label}: {', '.join(missing)} must take over a column of the source's primary key; "
            "name the fields that do with key=[…]."
        )
    return replica


def _field(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    try:
        field = model._meta.get_field(name)
    except django_exceptions.FieldDoesNotExist:
        field = next((one for one in model._meta.local_concrete_fields if name == one.column), None)  # type: ignore[assignment]
    if field is None or getattr(field, "column", None) is None or field.many_to_many:
        raise exceptions.ReplicaError(f"{model._meta.label} has no column for a field {name!r}.")
    return field  # type: ignore[return-value]


def _primary_key(model: type[models.Model]) -> list[models.Field[Any, Any]]:
    return list(getattr(model._meta, "pk_fields", None) or [model._meta.pk])


def _columns(label: str, field: models.Field[Any, Any], named: Mapping[str, Any]) -> list[Column]:
    """Return the column that is made for a field, or none where the database or the user makes it."""
    if getattr(field, "generated", False):
        return []
    value = named.get(field.name, field.column)
    if value is None:
        return default(field)
    if not isinstance(value, str | Constant | _Version) and not callable(value):
        raise exceptions.ReplicaError(
            f"{label}: {field.name} is a column's name, constant(…), VERSION, a function or None, not {value!r}."
        )
    return [Column(name=str(field.column), source=value, field=field)]


def default(field: models.Field[Any, Any]) -> list[Column]:
    """Return how a field that is the user's own begins: by its default, where the database does not know it."""
    if isinstance(field, models.AutoField) or field.has_db_default():
        return []
    if not field.has_default() and field.null:
        return []
    made: Any = (lambda _: field.get_default()) if callable(field.default) else Constant(field.get_default())
    return [Column(name=str(field.column), source=made, field=field, kept=True)]
