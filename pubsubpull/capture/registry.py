"""The registry of published models, with the columns that each keeps out of the log."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from django.core import exceptions as django_exceptions

from pubsubpull import exceptions

if TYPE_CHECKING:
    from django.db import models

Level = Literal["auto", "statement", "row"]
"""The level of capture triggers; `auto` is the level that the table needs."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Publication:
    """A published model. Fields have their names in the model, columns their names in the database."""

    model: type[models.Model]
    """The concrete model, never a proxy."""
    exclude: tuple[str, ...] = ()
    """The fields that never reach the log."""
    mask: tuple[str, ...] = ()
    """The fields that reach the log as a constant, without their values."""
    level: Level = "auto"
    """The level of the triggers: `statement`, `row`, or `auto` for the level that the table needs."""
    using: tuple[str, ...] | None = None
    """The aliases of the databases where the table is captured; None for all that the routers allow."""
    given_label: str | None = None
    """The label passed to `publish(label=)`; None if the model is published under its own."""

    @property
    def label(self) -> str:
        """The model's name on the wire, `app_label.modelname`."""
        return self.given_label or own_label(self.model)

    @property
    def table(self) -> tuple[str | None, str]:
        """The table's schema (None if the search path finds it) and its name."""
        return split_table(self.model._meta.db_table)

    @property
    def key_columns(self) -> list[str]:
        """The primary key's columns, in its order."""
        fields = getattr(self.model._meta, "pk_fields", None) or [self.model._meta.pk]
        return [field.column for field in fields if field is not None]

    @property
    def excluded_columns(self) -> list[str]:
        """The columns that never reach the log."""
        return [self.column(name) for name in self.exclude]

    @property
    def masked_columns(self) -> list[str]:
        """The columns that reach the log as a constant, without their values."""
        return [self.column(name) for name in self.mask]

    @property
    def hides(self) -> bool:
        """True if a field is excluded or masked. Columns that no field of the model has are then excluded as well."""
        return bool(self.exclude or self.mask)

    @property
    def shown_columns(self) -> list[str]:
        """The columns of the model's fields that are neither excluded nor masked."""
        hidden = {*self.excluded_columns, *self.masked_columns}
        return [str(f.column) for f in self.model._meta.local_concrete_fields if f.column and f.column not in hidden]

    @property
    def known_columns(self) -> list[str] | None:
        """The columns that readers may get, masked ones included; None if the publication hides nothing."""
        return [*self.shown_columns, *self.masked_columns] if self.hides else None

    def column(self, name: str) -> str:
        """Return the column of a field. Raises Django's `FieldDoesNotExist` if the model has no such column."""
        field = self.model._meta.get_field(name)
        column = getattr(field, "column", None)
        # A many-to-many field has a table of its own, and a reverse relation is a column of the other model.
        if column is None or field.many_to_many:
            raise django_exceptions.FieldDoesNotExist(name)
        return str(column)


def own_label(model: type[models.Model]) -> str:
    """Return the label of a model's class, `app_label.modelname`, in lower case even if the app's label is not."""
    return model._meta.label_lower.lower()


def label_of(model: type[models.Model]) -> str:
    """Return a model's name on the wire: the label it is published under, or its own if it is not published."""
    return known_as(own_label(model))


def known_as(label: str) -> str:
    """Return the published label of the model with the own label `label`; `label` itself if it is not published."""
    published = (publication.label for publication in _publications.values() if own_label(publication.model) == label)
    return next(published, label)


def split_table(name: str) -> tuple[str | None, str]:
    """Split a `db_table` into schema and name.

    Django quotes a name unless it is quoted already: `"a"."b"` and `a"."b` both name the table b of the schema a.
    """
    inner = name[1:-1] if name.startswith('"') and name.endswith('"') else name
    schema, dot, table = inner.partition('"."')
    return (schema, table) if dot else (None, inner)


_publications: dict[str, Publication] = {}
_replaced: set[str] = set()
"""The labels published twice with different options. A system check warns about each."""


def register(publication: Publication) -> None:
    """Register a publication instead of the model's earlier one. Raises `PublicationError` if its label is taken."""
    previous = _publications.get(publication.label)
    # A label is compared, not the class: a module that is loaded again publishes a new class of the same model.
    if previous is not None and previous.model._meta.label != publication.model._meta.label:
        raise exceptions.PublicationError(
            f"{publication.model._meta.label} would be called {publication.label}, as {previous.model._meta.label} is; "
            "publish one of them with a label= that no other has."
        )
    # A module may publish its model again under another label: the later call wins.
    for other in [other for other in _publications.values() if other.model is publication.model]:
        if other.label != publication.label:
            del _publications[other.label]
            _replaced.add(publication.label)
    if previous is not None and previous != publication:
        _replaced.add(publication.label)
    _publications[publication.label] = publication


def unregister(label: str) -> None:
    """Remove the publication with a label, if there is one."""
    _publications.pop(label, None)
    _replaced.discard(label)


def all_publications() -> dict[str, Publication]:
    """Return every publication by its label, sorted by label."""
    return dict(sorted(_publications.items()))


def replaced() -> list[str]:
    """Return the labels of models that are published more than once with different options, sorted."""
    return sorted(_replaced & set(_publications))


def get(label: str) -> Publication | None:
    """Return the publication with a label, in capitals or not; None if no model is published under it."""
    return _publications.get(label.lower())
