"""Erasing what the log knows of an object, on a person's request, with a record that it was done."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import DataError, transaction

from pubsubpull import exceptions
from pubsubpull.audit.integrity import seals
from pubsubpull.capture import keys, registry, sql
from pubsubpull.capture.registry import Publication

if TYPE_CHECKING:
    from django.db.models import QuerySet

KEYS = 100
"""How many earlier keys of an object are named."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What is known of an object: `changes` of the log, of which `erased` are already, made by `requests`.

    `imported` changes wait for an interrupted import, `aside` ones are set aside for subscriptions. `earlier` are keys
    that the object may have had before, and it `is_there` where its table has the row.
    """

    changes: int
    erased: int
    requests: int
    imported: int
    aside: int
    earlier: tuple[str, ...]
    is_there: bool

    @property
    def left(self) -> int:
        """How much there is to erase."""
        return self.changes - self.erased + self.imported + self.aside


def publication(label: str) -> Publication:
    """Return how a model is published; one that is no more may have changes in the log all the same.

    Raises `HistoryError` where there is no such model.
    """
    found = registry.get(label)
    if found is not None:
        return found
    try:
        return Publication(model=apps.get_model(label))
    except (LookupError, ValueError) as error:
        known = ", ".join(registry.all_publications())
        raise exceptions.HistoryError(f"{label} is not published. Published are: {known}.") from error


def relatives(of: Publication) -> list[str]:
    """Return the labels of published models that have rows of the same objects, by inheritance."""
    return [
        label
        for label, other in registry.all_publications().items()
        if other.model is not of.model and (issubclass(other.model, of.model) or issubclass(of.model, other.model))
    ]


def find(using: str, of: Publication, key: str) -> Found:
    """Return what there is to erase."""
    ((changes, erased, requests, imported, aside),) = _run(using, "queries/audit/erase/found", model=of.label, key=key)
    return Found(
        changes=changes,
        erased=erased,
        requests=requests,
        imported=imported,
        aside=aside,
        earlier=_earlier(using, of, key),
        is_there=_is_there(using, of, key),
    )


def rows(using: str, of: Publication, key: str) -> QuerySet[Any]:
    """Return the row of an object, as a query. Raises `InvalidKey`."""
    parts = keys.parts(of, key)
    return of.model._base_manager.using(using).filter(pk=parts[0] if len(parts) == 1 else tuple(parts))


def erase(using: str, model: str, key: str, *, by: str, reason: str) -> int:
    """Erase the rows, old and new, of each change of an object; return of how many.

    The changes stay, as `erase`, without their rows, and readers of the feed pass them by; a delete stays a delete for
    them, with its key alone. So does what is set aside for subscriptions. Seals over them still verify.
    """
    of = publication(model)
    with transaction.atomic(using):
        # First: a worker that still holds a subscription could set a change of it aside afterwards.
        _run(using, "queries/audit/erase/let_go", model=of.label)
        given: dict[str, Any] = {"model": of.label, "key": key, "key_columns": of.key_columns}
        ((erased,),) = _run(using, "queries/audit/erase/erase", by=by, reason=reason, **given)
        _run(using, "queries/audit/erase/aside", **given)
        seals.seal_erasures(using)
    return int(erased)


def _earlier(using: str, of: Publication, key: str) -> tuple[str, ...]:
    """Return the keys that an object may have had before, and before these."""
    found, todo = list[str](), [key]
    while todo and len(found) < KEYS:
        given: dict[str, Any] = {"model": of.label, "key": todo.pop(), "key_columns": of.key_columns}
        rows_ = _run(using, "queries/audit/erase/moved", at_most=KEYS, **given)
        new = [one for (one,) in rows_ if one not in (key, *found)]
        found += new
        todo += new
    return tuple(found)


def _is_there(using: str, of: Publication, key: str) -> bool:
    try:
        return rows(using, of, key).exists()
    except (ValueError, TypeError, ValidationError, exceptions.InvalidKey, DataError):
        return False  # the column cannot hold it


def _run(using: str, name: str, **parts: Any) -> list[tuple[Any, ...]]:
    return sql.run(using, sql.compose(name, **parts))
