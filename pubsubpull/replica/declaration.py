"""Declarations: which local model follows which model of which service, and how its columns are made."""

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
"""What a replica does with a change that it cannot take: wait for ever, or after some tries park it, by key."""


@dataclasses.dataclass(frozen=True)
class Constant:
    """A field that is the same in each row."""

    value: Any


class Version:
    """The type of VERSION."""

    def __repr__(self) -> str:
        return "VERSION"


VERSION: Version = Version()
"""Takes the version of the row: that of its latest change, or one below the version of any change to come."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """How a local column is made."""

    name: str
    """The local column."""
    source: str | Constant | Version | Callable[[Row], Any]
    """A column of the source (a text), a constant, VERSION, or a function of the source's row."""
    field: models.Field[Any, Any] = dataclasses.field(repr=False)
    """The model's field of the column."""
    kept: bool = False
    """True if only a new row gets the value, and later changes leave it as it is."""

    @property
    def computed(self) -> bool:
        """Return True if Python makes the value, row by row."""
        return callable(self.source)


def checked(on_failure: OnFailure, what: str) -> OnFailure:
    """Return `on_failure` as declared. Raises `ReplicaError` if it is neither of its words."""
    if on_failure not in {"wait", "park"}:
        raise exceptions.ReplicaError(f'{what}: on_failure is "wait" or "park", not {on_failure!r}.')
    return on_failure


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replica:
    """A local model that follows a model of a service, as declared. Columns are named as in the databases."""

    source: str
    """The model that it follows, as app_label.modelname."""
    service: str
    """The service that has the source."""
    model: type[models.Model]
    """The local model."""
    columns: tuple[Column, ...]
    """The local columns that are written, and how each is made."""
    key: tuple[str, ...]
    """The local columns that hold the source's primary key."""
    where: Where = None
    """The rows that are taken: values by column, or a function of the row; None for all."""
    on_delete: str = "delete"
    """What becomes of a row that the source has no more: `delete`, `keep`, or the name of the field that marks it."""
    mark: Column | None = None
    """The column that marks a row which is gone, with its value while the row is still at the source."""
    write: Callable[[list[Any]], object] | None = None
    """The user's function that writes the rows; None if PostgreSQL does."""
    on_failure: OnFailure = "wait"
    """What becomes of a change that it cannot take."""
    statements: dict[tuple[Any, ...], Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    """Statements that are kept for its table, each by what it was made for."""

    @property
    def name(self) -> str:
        """The local model's label, by which the replica is known."""
        return registry.own_label(self.model)

    @property
    def table(self) -> tuple[str | None, str]:
        """The local table's schema (None for the search path's) and its name."""
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
        """Return True if a function looks at each row."""
        return callable(self.where) or any(column.computed for column in self.columns)

    @property
    def shape(self) -> str:
        """A digest of the declaration: where it differs from what was copied, the rows must be copied again."""
        columns = sorted([column.name, _shown(column.source), column.kept] for column in self.columns)
        where = _shown(self.where) if callable(self.where) else self.where
        parts = [self.source, self.service, self.key, columns, where, self.on_delete, _shown(self.write)]
        text = json.dumps(parts, default=str, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _shown(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}" if hasattr(value, "__qualname__") else repr(value)


_replicas: dict[str, Replica] = {}


def add(replica: Replica) -> None:
    """Know a replica by its name."""
    _replicas[replica.name] = replica


def constant(value: Any) -> Constant:
    """Give a replica's field the same value in each row."""
    return Constant(value)


def all_replicas() -> dict[str, Replica]:
    """Return every replica by its name, the local model's label, sorted."""
    return dict(sorted(_replicas.items()))


def get(model: str | type[models.Model]) -> Replica | None:
    """Return the replica that a local model is, given as its class or label; None if it is none."""
    return _replicas.get(model.lower() if isinstance(model, str) else registry.own_label(model))


def forget(model: type[models.Model]) -> None:
    """Take a declaration back. The rows stay, and follow no more."""
    _replicas.pop(registry.own_label(model), None)


def default(field: models.Field[Any, Any]) -> list[Column]:
    """Return how a field of the user's own begins: with its default, unless the database knows that itself."""
    if isinstance(field, models.AutoField) or field.has_db_default():
        return []
    if not field.has_default() and field.null:
        return []
    source: Any = (lambda _: field.get_default()) if callable(field.default) else Constant(field.get_default())
    return [Column(name=str(field.column), source=source, field=field, kept=True)]
