"""Forgetting columns: what a model's changes have of some columns is taken out, with a record that it was."""

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
    """Columns of a model to take out of the log, of those that are `masked` all but the mask."""

    model: str
    removed: tuple[str, ...]
    masked: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """How far it has come: of the log's ids from `first` to `last` those below `next`, and in how many `changes`."""

    first: int
    next: int
    last: int
    changes: int


def columns(model: str, names: Collection[str]) -> Columns:
    """Return what of a published model is to be forgotten. Raises `PublicationError` where it is still captured."""
    publication = registry.get(model)
    if publication is None:
        published = ", ".join(registry.all_publications())
        raise exceptions.PublicationError(f"{model} is not published. Published are: {published}.")
    captured = [name for name in names if name in publication.shown_columns]
    if captured:
        raise exceptions.PublicationError(
            f"{', '.join(captured)} of {publication.label} is captured: exclude or mask it first, and migrate."
        )
    masked = tuple(name for name in names if name in publication.masked_columns)
    return Columns(model=publication.label, removed=tuple(n for n in names if n not in masked), masked=masked)


def count(what: Columns, *, using: str) -> int:
    """Return how many changes have something of it."""
    return _span(what, using)[2]


def forget(what: Columns, *, by: str, reason: str, using: str, at_once: int = CHANGES_AT_ONCE) -> Iterator[Progress]:
    """Take columns out of the changes that have them, and of those set aside; give progress after each part of the log.

    Interrupted, it goes on where it is started again. Seals over these changes still verify.
    """
    first, last, _ = _span(what, using)
    parts = {"model": what.model, "columns": list(what.removed), "masked": list(what.masked)}
    with transaction.atomic(using):
        # First: a worker that still holds a subscription could set a change of it aside afterwards.
        sql.run(using, sql.compose("queries/audit/erase/let_go", model=what.model))
        sql.run(using, sql.compose("queries/audit/forget_aside", **parts))
    done, low = 0, first
    while low <= last:
        ((begin, end),) = sql.run(using, sql.compose("queries/audit/next_part", low=low, most=at_once))
        if begin is None:
            break
        query = sql.compose("queries/audit/forget", **parts, low=begin, high=end + 1, by=by, reason=reason)
        with transaction.atomic(using):
            ((made,),) = sql.run(using, query)
            seals.seal_erasures(using)
        done, low = done + made, end + 1
        yield Progress(first=first, next=low, last=last, changes=done)


def _span(what: Columns, using: str) -> tuple[int, int, int]:
    """Return the first and the last id of the log, and how many changes there are to forget something of."""
    query = sql.compose(
        "queries/audit/forgettable", model=what.model, columns=list(what.removed), masked=list(what.masked)
    )
    ((first, last, changes),) = sql.run(using, query)
    return first or 0, -1 if last is None else last, changes
