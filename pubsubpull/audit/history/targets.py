"""The objects and models that a history is asked for, as labels and keys of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models as django_models

from pubsubpull import conf, exceptions
from pubsubpull.capture import keys, registry

if TYPE_CHECKING:
    from pubsubpull.capture.registry import Publication


def label(model: type[django_models.Model] | str) -> str:
    """Return the label that the log has for a model, for its proxies, or for a label of Django's."""
    if isinstance(model, str):
        return registry.known_as(model.lower())
    return registry.label_of(model._meta.concrete_model or model)


def identify(target: Any, key: Any = None, *, using: str | None = None) -> tuple[str, str]:
    """Return the label and the key of an object, or of a model and a key. Raises `HistoryError` for anything else."""
    if isinstance(target, django_models.Model):
        name, value = label(type(target)), target.pk
    elif key is None or not isinstance(target, (str, type)):
        raise exceptions.HistoryError("Name an object, or a model and a key.")
    else:
        name, value = label(target), key
    publication = registry.get(name)
    # A model that is published no more keeps its history: then the key is taken as the log may have it.
    if publication is None:
        return name, keys.text(value)
    try:
        return name, keys.as_logged(publication, value, using=using or conf.get().DATABASE)
    except exceptions.InvalidKey as error:
        raise exceptions.HistoryError(f"key: {error}") from error


def published(name: str) -> Publication:
    """Return the publication with a label. Raises `HistoryError` if no model is published under it."""
    publication = registry.get(name)
    if publication is None:
        raise exceptions.HistoryError(f"{name} is not published.")
    return publication
