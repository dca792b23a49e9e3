"""`publish` and `unpublish`: check the options of a publication, and register it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar, overload

from django.core import exceptions as django_exceptions
from django.db import models

from pubsubpull import exceptions
from pubsubpull.capture import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LABEL_PATTERN = re.compile(r"[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*")
"""The form of a label: `app_label.modelname` in lower case."""
LEVELS: tuple[registry.Level, ...] = ("auto", "statement", "row")
M = TypeVar("M", bound=type[models.Model])


@overload
def publish(
    model: M,
    /,
    *,
    exclude: Iterable[str] = ...,
    mask: Iterable[str] = ...,
    level: registry.Level = ...,
    using: str | Iterable[str] | None = ...,
    label: str | None = ...,
) -> M: ...
@overload
def publish(
    *,
    exclude: Iterable[str] = ...,
    mask: Iterable[str] = ...,
    level: registry.Level = ...,
    using: str | Iterable[str] | None = ...,
    label: str | None = ...,
) -> Callable[[M], M]: ...
def publish(
    model: Any = None,
    /,
    *,
    exclude: Iterable[str] = (),
    mask: Iterable[str] = (),
    level: registry.Level = "auto",
    using: str | Iterable[str] | None = None,
    label: str | None = None,
) -> Any:
    """Publish a model: from the next `migrate` on, the change log records each change of its table.

    Use it as a call, `publish(Order)`, or as a decorator, `@publish(exclude=["note"])`. It returns the model.

    `exclude` lists fields that never reach the log. `mask` lists fields that reach the log as `***`, without their
    values. `level` is `statement`, `row`, or `auto` for the level that the table needs. `using` limits capture to some
    database aliases. `label` is the model's name for readers, by default `app_label.modelname`. If a class or an app
    was renamed, pass the old label: history, grants, subscriptions and replicas then go on.

    Raises `PublicationError` if an argument does not fit the model, or if another model has the label.
    """
    if model is None:
        return lambda decorated: publish(decorated, exclude=exclude, mask=mask, level=level, using=using, label=label)
    publication = registry.Publication(
        model=_concrete(model),
        exclude=_names("exclude", exclude),
        mask=_names("mask", mask),
        level=level,
        using=None if using is None else _names("using", [using] if isinstance(using, str) else using),
        given_label=_given_label(label),
    )
    # Before it is registered: a refused publication leaves the registry unchanged.
    _check(publication)
    registry.register(publication)
    return model


def unpublish(model: type[models.Model]) -> None:
    """Stop publishing a model. The next `migrate` or `pubsubpull_triggers --sync` drops its triggers."""
    registry.unregister(registry.label_of(_concrete(model)))


def _concrete(model: Any) -> type[models.Model]:
    """Return the model itself, or the concrete model of a proxy. Raises `PublicationError` if it has no table."""
    if not (isinstance(model, type) and issubclass(model, models.Model)):
        raise exceptions.PublicationError(f"publish() takes a model class, not {model!r}.")
    if model._meta.abstract:
        raise exceptions.PublicationError(
            f"{model.__name__} is abstract and has no table; publish the models that inherit from it."
        )
    if model._meta.swapped:
        raise exceptions.PublicationError(
            f"{model._meta.label} is swapped for {model._meta.swapped} and has no table; publish that model."
        )
    return model._meta.concrete_model or model


def _given_label(label: str | None) -> str | None:
    if label is None:
        return None
    if not isinstance(label, str) or not LABEL_PATTERN.fullmatch(label):
        raise exceptions.PublicationError(f"label is app_label.modelname, in lower case, not {label!r}.")
    return label


def _names(argument: str, names: Iterable[str]) -> tuple[str, ...]:
    # A text is an iterable too, of its letters.
    if isinstance(names, str):
        raise exceptions.PublicationError(f'{argument} is a list of names, not the text "{names}".')
    return tuple(names)


def _check(publication: registry.Publication) -> None:
    label = publication.model._meta.label
    if publication.level not in LEVELS:
        raise exceptions.PublicationError(f"{label}: level is one of {', '.join(LEVELS)}, not {publication.level!r}.")
    for name in (*publication.exclude, *publication.mask):
        try:
            publication.column(name)
        except django_exceptions.FieldDoesNotExist as error:
            raise exceptions.PublicationError(
                f"{label} has no column for a field {name!r}; it cannot be excluded or masked."
            ) from error
    hidden = {*publication.excluded_columns, *publication.masked_columns} & set(publication.key_columns)
    if hidden:
        raise exceptions.PublicationError(
            f"{label}: {', '.join(sorted(hidden))} is part of the primary key, which every change names; it cannot be "
            "excluded or masked."
        )
    if set(publication.exclude) & set(publication.mask):
        raise exceptions.PublicationError(f"{label}: a field is excluded or masked, not both.")
