"""Declarations: each replica's source and service, and the values of its columns."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from django.db import models

from pubsubpull import exceptions
from pubsubpull.capture import registry

Row = dict[str, Any]
Where = Mapping[str, Any] | Callable[[Row], bool] | None
OnFailure = Literal["wait", "park"]
"""The reaction to a change that fails: `wait` for ever, or `park` the changes of its key after some attempts."""


@dataclasses.dataclass(frozen=True)
class Constant:
    """A field with the same value in each row."""

    value: Any
    """The value, as the model's field takes it."""


class Version:
    """The type of `VERSION`."""

    def __repr__(self) -> str:
        return "VERSION"


VERSION: Version = Version()
"""In `fields`, the version of the row: an integer that grows with each change of the row.

After a copy it is at most the version before the next change.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """A local column, with the source of its value."""

    name: str
    """The name of the local column."""
    source: str | Constant | Version | Callable[[Row], Any]
    """The name of the source's column, a constant, `VERSION`, or a function of the source's row."""
    field: models.Field[Any, Any] = dataclasses.field(repr=False)
    """The model's field of the column."""
    kept: bool = False
    """True if only new rows get the value, and later changes do not touch it."""

    @property
    def computed(self) -> bool:
        """True if a Python function computes the value of each row."""
        return callable(self.source)


def checked(on_failure: OnFailure, what: str) -> OnFailure:
    """Return `on_failure`. Raises `ReplicaError` if it is neither `wait` nor `park`."""
    if on_failure not in {"wait", "park"}:
        raise exceptions.ReplicaError(f'{what}: on_failure is "wait" or "park", not {on_failure!r}.')
    return on_failure


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replica:
    """The declaration of a local model that follows a model of a service. Names of columns are the databases' names."""

    source: str
    """The model that the replica follows, as app_label.modelname."""
    service: str
    """The service of the source."""
    model: type[models.Model]
    """The local model."""
    columns: tuple[Column, ...]
    """The local columns that are written."""
    key: tuple[str, ...]
    """The local columns that hold the source's primary key."""
    where: Where = None
    """The filter of rows: accepted values by column, or a function of the row; None for all rows."""
    on_delete: str = "delete"
    """The treatment of rows deleted at the source: `delete`, `keep`, or the name of the field that marks them."""
    mark: Column | None = None
    """The column that marks deleted rows, with its value for rows that exist at the source."""
    write: Callable[[list[Any]], object] | None = None
    """The user's function that writes the rows; None if SQL statements write them."""
    on_failure: OnFailure = "wait"
    """The reaction to a change that fails."""
    statements: dict[tuple[Any, ...], Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    """A cache of SQL statements for the table, by everything that a statement depends on."""

    @property
    def name(self) -> str:
        """The local model's label, which names the replica."""
        return registry.own_label(self.model)

    @property
    def table(self) -> tuple[str | None, str]:
        """The schema (None: found by the search path) and the name of the local table."""
        return registry.split_table(self.model._meta.db_table)

    @property
    def source_columns(self) -> list[str]:
        """The source's columns that are copied unchanged, sorted, without duplicates."""
        return sorted({column.source for column in self.columns if isinstance(column.source, str)})

    @property
    def key_source(self) -> list[str]:
        """The source's columns that fill the local key, in the order of `key`."""
        by_name = {column.name: column.source for column in self.columns}
        return [str(by_name[name]) for name in self.key]

    @property
    def in_python(self) -> bool:
        """True if a Python function looks at each row."""
        return callable(self.where) or any(column.computed for column in self.columns)

    @property
    def shape(self) -> str:
        """A digest of the declaration. If it differs from the stored digest, the rows must be copied again."""
        # Sorted, as the keys below: the order of a declaration does not make the copied rows stale.
        columns = sorted([column.name, _shown(column.source), column.kept] for column in self.columns)
        where = _shown(self.where) if callable(self.where) else self.where
        parts = [self.source, self.service, self.key, columns, where, self.on_delete, _shown(self.write)]
        text = json.dumps(parts, default=str, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _shown(value: Any) -> str:
    # Functions count by name: their code has no digest that is stable between Python versions.
    return f"{value.__module__}.{value.__qualname__}" if hasattr(value, "__qualname__") else repr(value)


_replicas: dict[str, Replica] = {}


def add(replica: Replica) -> None:
    """Register a replica under its name."""
    _replicas[replica.name] = replica


def constant(value: Any) -> Constant:
    """Return, for `fields` of `replicates`, a constant: each row gets `value`, which the model's field must accept."""
    return Constant(value)


def all_replicas() -> dict[str, Replica]:
    """Return all replicas by name (the local model's label), sorted."""
    return dict(sorted(_replicas.items()))


def get(model: str | type[models.Model]) -> Replica | None:
    """Return the replica of a local model, given as class or label; None if the model is no replica."""
    return _replicas.get(model.lower() if isinstance(model, str) else registry.own_label(model))


def forget(model: type[models.Model]) -> None:
    """Remove a declaration. The rows stay, but follow no longer."""
    _replicas.pop(registry.own_label(model), None)


def default(field: models.Field[Any, Any]) -> list[Column]:
    """Return the column that gives new rows the default of a field that is not replicated; none if not needed."""
    if isinstance(field, models.AutoField) or field.has_db_default():
        return []  # PostgreSQL fills the column itself.
    if not field.has_default() and field.null:
        return []
    # A callable default, as `uuid4`, gives each row a value of its own, so Python has to call it for each row.
    source: Any = (lambda _: field.get_default()) if callable(field.default) else Constant(field.get_default())
    return [Column(name=str(field.column), source=source, field=field, kept=True)]
