"""What is replicated: which local model follows which model of which service, and how its columns are made."""

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
"""What a replica does with a change that it cannot take: it waits for ever, or after tries sets it aside, by key."""


@dataclasses.dataclass(frozen=True)
class Constant:
    """A field that is the same in each row."""

    value: Any


class Version:
    """The type of VERSION."""

    def __repr__(self) -> str:
        return "VERSION"


VERSION = Version()
"""Given for a field: the version of the row: of its latest change, or one that each change to come is above."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """How a local column is made: of a source column (a text), a constant, VERSION, or by a function of the row.

    `kept`: it is given to a new row only, and afterwards left as it is.
    """

    name: str
    source: str | Constant | Version | Callable[[Row], Any]
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
    on_failure: OnFailure = "wait"

    @property
    def name(self) -> str:
        """How it is known."""
        raise NotImplementedError

    @property
    def shape(self) -> str:
        """A digest of the declaration: where it differs from what was copied, the rows must be copied again."""
        return "none"


def checked(on_failure: OnFailure, what: str) -> OnFailure:
    """Return what is declared for failures. Raises `ReplicaError` where it is no such thing."""
    if on_failure not in {"wait", "park"}:
        raise exceptions.ReplicaError(f'{what}: on_failure is "wait" or "park", not {on_failure!r}.')
    return on_failure


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
    on_delete: str = "delete"
    """What becomes of a row that the source has no more: `delete`, `keep`, or the field that marks it."""
    mark: Column | None = None
    """The column that marks a row which is gone, as it is while the row is there."""
    write: Callable[[list[Any]], object] | None = None
    """What writes the rows, where PostgreSQL does not."""
    statements: dict[tuple[Any, ...], Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    """Statements that were made for it once, by what they were made for."""

    @property
    def name(self) -> str:
        """The local model's label, by which the replica is known."""
        return registry.own_label(self.model)

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
        said = [self.source, self.service, self.key, sorted(made), where, self.on_delete, _shown(self.write)]
        text = json.dumps(said, default=str, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _shown(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}" if hasattr(value, "__qualname__") else repr(value)


_replicas: dict[str, Replica] = {}


def add(replica: Replica) -> None:
    """Know a replica by its name."""
    _replicas[replica.name] = replica


def constant(value: Any) -> Constant:
    """Return what gives a replica's field the same value in each row."""
    return Constant(value)


def all_replicas() -> dict[str, Replica]:
    """Return every replica by its name, the local model's label, sorted."""
    return dict(sorted(_replicas.items()))


def get(model: str | type[models.Model]) -> Replica | None:
    """Return the replica of a local model, given as a class or its label; None where it is none."""
    return _replicas.get(model.lower() if isinstance(model, str) else registry.own_label(model))


def forget(model: type[models.Model]) -> None:
    """Take a declaration back. The rows stay, and follow no more."""
    _replicas.pop(registry.own_label(model), None)


def default(field: models.Field[Any, Any]) -> list[Column]:
    """Return how a field that is the user's own begins: by its default, where the database does not know it."""
    if isinstance(field, models.AutoField) or field.has_db_default():
        return []
    if not field.has_default() and field.null:
        return []
    made: Any = (lambda _: field.get_default()) if callable(field.default) else Constant(field.get_default())
    return [Column(name=str(field.column), source=made, field=field, kept=True)]
