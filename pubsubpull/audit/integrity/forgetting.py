"""Forgets columns: removes their values from all changes of a model, with a record of it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from django.db import transaction

from pubsubpull import exceptions
from pubsubpull.audit.integrity import seals
from pubsubpull.capture import registry, sql

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

CHANGES_AT_ONCE = 5_000
"""The most changes that a transaction looks at."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of a model to forget."""

    model: str
    """The model's label."""
    removed: tuple[str, ...]
    """The columns to remove from the changes' rows."""
    masked: tuple[str, ...]
    """The columns to replace with the mask."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of forgetting."""

    first: int
    """The first id of the log."""
    next: int
    """The id to go on with: all below it are done."""
    last: int
    """The last id of the log."""
    changes: int
    """The changes that have been altered so far."""


def columns(model: str, names: Collection[str]) -> Columns:
    """Return the columns `names` of a published model to forget. Raises `PublicationError` if one is still captured."""
    publication = registry.get(model)
    if publication is None:
        published = ", ".join(registry.all_publications())
        raise exceptions.PublicationError(f"{model} is not published. Published are: {published}.")
    # The next change of a row would bring a captured column back into the log.
    captured = [name for name in names if name in publication.shown_columns]
    if captured:
        raise exceptions.PublicationError(
            f"{', '.join(captured)} of {publication.label} is captured: exclude or mask it first, and migrate."
        )
    masked = tuple(name for name in names if name in publication.masked_columns)
    return Columns(model=publication.label, removed=tuple(n for n in names if n not in masked), masked=masked)


def count(columns: Columns, *, using: str) -> int:
    """Return the number of changes with a value in one of the columns."""
    return _span(columns, using)[2]


def forget(columns: Columns, *, by: str, reason: str, using: str, at_once: int = CHANGES_AT_ONCE) -> Iterator[Progress]:
    """Remove the values of columns from the log and from dead letters; yield the progress after each transaction.

    A transaction examines `at_once` changes. After an interruption, another call does the rest. `by` and `reason` go
    into the record. Seals over the changes still verify.
    """
    first, last, _ = _span(columns, using)
    parts = {"model": columns.model, "columns": list(columns.removed), "masked": list(columns.masked)}
    with transaction.atomic(using):
        # First: a worker that keeps its lease could write a dead letter with the values afterwards.
        sql.run(using, sql.compose("queries/audit/erase/let_go", model=columns.model))
        sql.run(using, sql.compose("queries/audit/forget_aside", **parts))
    done, low = 0, first
    while low <= last:
        ((begin, end),) = sql.run(using, sql.compose("queries/audit/next_part", low=low, most=at_once))
        if begin is None:
            break
        query = sql.compose("queries/audit/forget", **parts, low=begin, high=end + 1, by=by, reason=reason)
        with transaction.atomic(using):
            ((altered,),) = sql.run(using, query)
            # In the same transaction: an erasure that no seal covers could be altered unseen.
            seals.seal_erasures(using)
        done, low = done + altered, end + 1
        # Outside of the transaction, which would stay open while the caller does something else.
        yield Progress(first=first, next=low, last=last, changes=done)


def _span(columns: Columns, using: str) -> tuple[int, int, int]:
    """Return the first and the last id of the log, and the number of changes with a value in one of the columns."""
    query = sql.compose(
        "queries/audit/forgettable",
        model=columns.model,
        columns=list(columns.removed),
        masked=list(columns.masked),
    )
    ((first, last, changes),) = sql.run(using, query)
    return first or 0, -1 if last is None else last, changes
