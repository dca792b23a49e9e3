"""Erases the rows of an object from the log, on a person's request, with a record of the erasure."""

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

KEYS_LIMIT = 100
"""Earlier keys of an object that are listed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Traces:
    """The traces of an object that an erasure concerns."""

    changes: int
    """The object's changes in the log."""
    erased: int
    """The changes that are erased already."""
    requests: int
    """The requests that made the changes. An erasure does not touch them."""
    imported: int
    """The staged changes of an interrupted import."""
    dead_letters: int
    """The changes among the dead letters of subscriptions."""
    earlier: tuple[str, ...]
    """The keys that the object may have had before."""
    has_row: bool
    """True if the model's table has the row."""

    @property
    def left(self) -> int:
        """The number of changes that can be erased."""
        return self.changes - self.erased + self.imported + self.dead_letters


def publication(label: str) -> Publication:
    """Return the publication with a label; for a model that is published no more, a publication without options.

    Raises `HistoryError` if there is no such model.
    """
    current = registry.get(label)
    if current is not None:
        return current
    # The log keeps the changes of a model that is published no more, and they must be erasable.
    try:
        return Publication(model=apps.get_model(label))
    except (LookupError, ValueError) as error:
        known = ", ".join(registry.all_publications())
        raise exceptions.HistoryError(f"{label} is not published. Published are: {known}.") from error


def relatives(of: Publication) -> list[str]:
    """Return the labels of published models that share objects with this one by inheritance."""
    return [
        label
        for label, other in registry.all_publications().items()
        if other.model is not of.model and (issubclass(other.model, of.model) or issubclass(of.model, other.model))
    ]


def find(using: str, of: Publication, key: str) -> Traces:
    """Return the traces of an object."""
    ((changes, erased, requests, imported, dead_letters),) = _run(
        using, "queries/audit/erase/found", model=of.label, key=key
    )
    return Traces(
        changes=changes,
        erased=erased,
        requests=requests,
        imported=imported,
        dead_letters=dead_letters,
        earlier=_earlier(using, of, key),
        has_row=_has_row(using, of, key),
    )


def rows(using: str, of: Publication, key: str) -> QuerySet[Any]:
    """Return the queryset of an object's row. Raises `InvalidKey` if the key does not fit the model."""
    parts = keys.parts(of, key)
    # The base manager: a default manager may hide rows.
    return of.model._base_manager.using(using).filter(pk=parts[0] if len(parts) == 1 else tuple(parts))


def erase(using: str, model: str, key: str, *, by: str, reason: str) -> int:
    """Erase the old and new rows of each change of an object, in the log and in dead letters.

    Return the number of erased changes. The changes themselves stay, with the op `erase`, and readers of the feed skip
    them. A delete stays a delete for readers, with its key alone. Seals over the changes still verify. `by` and
    `reason` go into the record. Raises `HistoryError` if there is no such model.
    """
    of = publication(model)
    with transaction.atomic(using):
        # First: a worker that keeps its lease could write a dead letter with the erased rows afterwards.
        _run(using, "queries/audit/erase/let_go", model=of.label)
        parts: dict[str, Any] = {"model": of.label, "key": key, "key_columns": of.key_columns}
        ((erased,),) = _run(using, "queries/audit/erase/erase", by=by, reason=reason, **parts)
        _run(using, "queries/audit/erase/aside", **parts)
        # In the same transaction: an erasure that no seal covers could be altered unseen.
        seals.seal_erasures(using)
    return int(erased)


def _earlier(using: str, of: Publication, key: str) -> tuple[str, ...]:
    """Return the keys that an object may have had before, about KEYS_LIMIT at most."""
    earlier, unfollowed = list[str](), [key]
    while unfollowed and len(earlier) < KEYS_LIMIT:
        parts: dict[str, Any] = {"model": of.label, "key": unfollowed.pop(), "key_columns": of.key_columns}
        moved = _run(using, "queries/audit/erase/moved", at_most=KEYS_LIMIT, **parts)
        # Known keys are left out: an object that got an old key back would be followed in a circle.
        new = [old_key for (old_key,) in moved if old_key not in (key, *earlier)]
        earlier += new
        unfollowed += new
    return tuple(earlier)


def _has_row(using: str, of: Publication, key: str) -> bool:
    try:
        return rows(using, of, key).exists()
    # The column cannot hold such a key, so no row has it.
    except (ValueError, TypeError, ValidationError, exceptions.InvalidKey, DataError):
        return False


def _run(using: str, name: str, **parts: Any) -> list[tuple[Any, ...]]:
    return sql.run(using, sql.compose(name, **parts))
