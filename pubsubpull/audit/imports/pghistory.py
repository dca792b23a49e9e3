"""The past from django-pghistory: rows in event models, written by triggers."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from psycopg import sql as psql

from pubsubpull.audit.imports import rows
from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pubsubpull.capture.registry import Publication


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labels:
    """The labels of an event model's rows, by operation."""

    inserts: tuple[str, ...]
    """The labels of inserts."""
    updates: tuple[str, ...]
    """The labels of updates."""
    deletes: tuple[str, ...]
    """The labels of deletes."""
    before: bool
    """True if the rows of updates are those before the update."""

    @classmethod
    def of(cls, trackers: Iterable[Any]) -> Labels:
        """Return the labels of trackers. Labels of rows before an update are left out if there are some after it."""
        labels: dict[tuple[str, str], list[str]] = {}
        for tracker in trackers:
            # Manual trackers have no operation.
            if getattr(tracker, "operation", None) is not None:
                labels.setdefault((str(tracker.operation).upper(), tracker.row), []).append(tracker.label)
        new, old = labels.get(("UPDATE", "NEW"), []), labels.get(("UPDATE", "OLD"), [])
        return cls(
            inserts=tuple(labels.get(("INSERT", "NEW"), [])),
            # Not both: each update would be imported twice.
            updates=tuple(new or old),
            deletes=tuple(labels.get(("DELETE", "OLD"), [])),
            before=not new and bool(old),
        )


def has(publication: Publication) -> bool:
    """Return True if a published model has an event model."""
    return bool(_events(publication))


class Source:
    """The event model of a published model; of several, the event model with most columns."""

    def __init__(self, publication: Publication, *, using: str) -> None:  # noqa: ARG002  as all sources
        self.publication = publication
        self.model, *others = _events(publication)
        self.columns, missing = rows.match(publication, self.model)
        self.labels = Labels.of(self.model.pgh_trackers)
        self.notes = rows.notes(missing, [f"The events of {other._meta.label} are left out." for other in others])

    def batches(self) -> Iterator[psql.Composable]:
        """Yield the query for all changes of the model."""
        (pk,) = self.publication.key_columns
        unknown = [f.column for f in self.publication.model._meta.local_concrete_fields if f.column not in self.columns]
        yield sql.compose(
            "queries/audit/imports/pghistory",
            label=self.publication.label,
            table=rows.table(self.model),
            row=rows.row(self.columns, "e"),
            context=_context(self.model),
            users=rows.users(),
            ours=rows.table(self.publication.model),
            pk=psql.Identifier(pk),
            pk_name=pk,
            unknown=unknown,
            before=self.labels.before,
            inserts=list(self.labels.inserts),
            updates=list(self.labels.updates),
            deletes=list(self.labels.deletes),
        )


def _events(publication: Publication) -> list[Any]:
    """Return the event models with the model's key and with rows of it, most columns first."""
    by_label = {model._meta.label: model for model in getattr(publication.model, "pgh_event_models", {}).values()}
    counted = [(len(rows.match(publication, model)[0]), model) for _, model in sorted(by_label.items())]
    key = publication.key_columns
    fit = [(n, m) for n, m in counted if len(key) == 1 and key[0] in rows.match(publication, m)[0] and _rows(m)]
    return [model for _, model in sorted(fit, key=lambda pair: -pair[0])]


def _rows(model: Any) -> bool:
    labels = Labels.of(model.pgh_trackers or ())
    return bool(labels.inserts or labels.updates or labels.deletes)


def _context(model: Any) -> psql.Composed:
    """Return the query for an event's context: a row of another table, or columns of the event, or NULLs."""
    context, id_ = _field(model, "pgh_context"), _field(model, "pgh_context_id")
    if isinstance(context, models.ForeignKey):
        related: Any = context.related_model
        return sql.compose("queries/audit/imports/pghistory_context", contexts=rows.table(related))
    own = {"id": id_, "metadata": context}
    parts = {name: psql.NULL if field is None else psql.Identifier("e", field.column) for name, field in own.items()}
    return sql.compose("queries/audit/imports/pghistory_inline", **parts)


def _field(model: Any, name: str) -> Any:
    try:
        return model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
