"""What is published: which models, and what of each the log may hold."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from django.core import exceptions as django_exceptions
from django.db import models

from pubsubpull import exceptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Level = Literal["auto", "statement", "row"]
LABEL = re.compile(r"[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*")
LEVELS: tuple[Level, ...] = ("auto", "statement", "row")
M = TypeVar("M", bound=type[models.Model])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Publication:
    """A published model: fields are named as in the model, columns as in the database."""

    model: type[models.Model]
    exclude: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()
    level: Level = "auto"
    using: tuple[str, ...] | None = None
    given_label: str | None = None
    """The label that it is published under, where that is not its own."""

    @property
    def label(self) -> str:
        """The model's name on the wire, `app_label.modelname`."""
        return self.given_label or own_label(self.model)

    @property
    def table(self) -> tuple[str | None, str]:
        """The table's schema, None for the search path's, and its name."""
        return split_table(self.model._meta.db_table)

    @property
    def key_columns(self) -> list[str]:
        """The primary key's columns, in its order."""
        fields = getattr(self.model._meta, "pk_fields", None) or [self.model._meta.pk]
        return [field.column for field in fields if field is not None]

    @property
    def excluded_columns(self) -> list[str]:
        """The columns that never reach the log."""
        return [self._column(name) for name in self.exclude]

    @property
    def masked_columns(self) -> list[str]:
        """The columns that reach the log as a constant."""
        return [self._column(name) for name in self.mask]

    @property
    def hides(self) -> bool:
        """Whether it excludes or masks anything: then a column that no field of the model has is left out as well."""
        return bool(self.exclude or self.mask)

    @property
    def shown_columns(self) -> list[str]:
        """The columns of the model's fields that are neither excluded nor masked."""
        hidden = {*self.excluded_columns, *self.masked_columns}
        return [str(f.column) for f in self.model._meta.local_concrete_fields if f.column and f.column not in hidden]

    @property
    def known_columns(self) -> list[str] | None:
        """The only columns that readers may get, some of them masked; None where all do, as nothing is hidden."""
        return [*self.shown_columns, *self.masked_columns] if self.hides else None

    def _column(self, name: str) -> str:
        field = self.model._meta.get_field(name)
        column = getattr(field, "column", None)
        if column is None or field.many_to_many:  # a many-to-many field, or another model's field that points here
            raise django_exceptions.FieldDoesNotExist(name)
        return str(column)


def own_label(model: type[models.Model]) -> str:
    """Return a model's label as its class has it: all in lower case, where Django keeps the capitals of an app's."""
    return model._meta.label_lower.lower()


def label_of(model: type[models.Model]) -> str:
    """Return a model's name on the wire: the label that it is published under, else its own."""
    return known_as(own_label(model))


def known_as(label: str) -> str:
    """Return the label that the model with this label of its own is published under; the label itself for others."""
    return next((one.label for one in _publications.values() if own_label(one.model) == label), label)


def split_table(name: str) -> tuple[str | None, str]:
    """Split a `db_table` into schema and name.

    Django puts quotes around a name that has none around it: `"a"."b"` and `a"."b` are both b in a schema a.
    """
    inner = name[1:-1] if name.startswith('"') and name.endswith('"') else name
    schema, dot, table = inner.partition('"."')
    return (schema, table) if dot else (None, inner)


_publications: dict[str, Publication] = {}
_replaced: set[str] = set()
"""The labels of which one publication took the place of another that said otherwise."""


@overload
def publish(
    model: M,
    /,
    *,
    exclude: Iterable[str] = ...,
    mask: Iterable[str] = ...,
    level: Level = ...,
    using: str | Iterable[str] | None = ...,
    label: str | None = ...,
) -> M: ...
@overload
def publish(
    *,
    exclude: Iterable[str] = ...,
    mask: Iterable[str] = ...,
    level: Level = ...,
    using: str | Iterable[str] | None = ...,
    label: str | None = ...,
) -> Callable[[M], M]: ...
def publish(
    model: Any = None,
    /,
    *,
    exclude: Iterable[str] = (),
    mask: Iterable[str] = (),
    level: Level = "auto",
    using: str | Iterable[str] | None = None,
    label: str | None = None,
) -> Any:
    """Publish a model: from the next `migrate` on, each change of its table goes into the change log.

    `exclude` names fields that never reach the log, `mask` fields of which only a constant does. `level` is how changes
    are captured: per `statement`, per `row`, or as the table needs it (`auto`). `using` limits it to some database
    aliases. `label` is the name that readers know the model by, for one whose class or app was renamed: give the old
    one, and its history, grants, subscriptions and replicas go on.
    Use it as a call, `publish(Order)`, or as a decorator, `@publish(exclude=["note"])`. Raises `PublicationError`.
    """
    if model is None:
        return lambda decorated: publish(decorated, exclude=exclude, mask=mask, level=level, using=using, label=label)
    publication = Publication(
        model=_concrete(model),
        exclude=_names("exclude", exclude),
        mask=_names("mask", mask),
        level=level,
        using=None if using is None else _names("using", [using] if isinstance(using, str) else using),
        given_label=_given_label(label),
    )
    _check(publication)
    there = _publications.get(publication.label)
    if there is not None and there.model._meta.label != publication.model._meta.label:
        raise exceptions.PublicationError(
            f"{publication.model._meta.label} would be called {publication.label}, as {there.model._meta.label} is; "
            "publish one of them with a label= that no other has."
        )
    for other in [one for one in _publications.values() if one.model is publication.model]:
        if other.label != publication.label:  # it is published once more, under another label
            del _publications[other.label]
            _replaced.add(publication.label)
    if there is not None and there != publication:
        _replaced.add(publication.label)
    _publications[publication.label] = publication
    return model


def unpublish(model: type[models.Model]) -> None:
    """Stop publishing a model; its triggers go with the next `migrate` or `pubsubpull_triggers --sync`."""
    label = label_of(_concrete(model))
    _publications.pop(label, None)
    _replaced.discard(label)


def all_publications() -> dict[str, Publication]:
    """Return every publication by its model's label, sorted."""
    return dict(sorted(_publications.items()))


def replaced() -> list[str]:
    """Return the labels of models that are published more than once, each time otherwise; sorted."""
    return sorted(_replaced & set(_publications))


def get(label: str) -> Publication | None:
    """Return the publication of a model's label, in capitals or not; None where it is not published."""
    return _publications.get(label.lower())


def _concrete(model: Any) -> type[models.Model]:
    """Return the model that has the table: a proxy's changes are its concrete model's."""
    if not (isinstance(model, type) and issubclass(model, models.Model)):
        raise exceptions.PublicationError(f"publish() takes a model class, not {model!r}.")
    if model._meta.abstract:
        raise exceptions.PublicationError(
            f"{model.__name__} is abstract and has no table; publish the models made from it."
        )
    if model._meta.swapped:
        raise exceptions.PublicationError(
            f"{model._meta.label} is swapped for {model._meta.swapped} and has no table; publish that."
        )
    return model._meta.concrete_model or model


def _given_label(label: str | None) -> str | None:
    if label is None:
        return None
    if not isinstance(label, str) or not LABEL.fullmatch(label):
        raise exceptions.PublicationError(f"label is app_label.modelname, in lower case, not {label!r}.")
    return label


def _names(argument: str, names: Iterable[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise exceptions.PublicationError(f'{argument} is a list of names, not the text "{names}".')
    return tuple(names)


def _check(publication: Publication) -> None:
    label = publication.model._meta.label
    if publication.level not in LEVELS:
        raise exceptions.PublicationError(f"{label}: level is one of {', '.join(LEVELS)}, not {publication.level!r}.")
    for name in (*publication.exclude, *publication.mask):
        try:
            publication._column(name)
        except django_exceptions.FieldDoesNotExist as error:
            raise exceptions.PublicationError(
                f"{label} has no column for a field {name!r}; it cannot be excluded or masked."
            ) from error
    hidden = {*publication.excluded_columns, *publication.masked_columns} & set(publication.key_columns)
    if hidden:
        raise exceptions.PublicationError(
            f"{label}: {', '.join(sorted(hidden))} is part of the primary key, which every change names."
        )
    if set(publication.exclude) & set(publication.mask):
        raise exceptions.PublicationError(f"{label}: a field is excluded or masked, not both.")
