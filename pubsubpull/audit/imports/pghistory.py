"""The past that django-pghistory wrote down: rows in event models, by triggers."""

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

PACKAGE = "pghistory"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labels:
    """What an event model's labels tell: of which change, and whether of an update there is the row `before` it."""

    inserts: tuple[str, ...]
    updates: tuple[str, ...]
    deletes: tuple[str, ...]
    before: bool

    @classmethod
    def of(cls, trackers: Iterable[Any]) -> Labels:
        """Return what trackers tell. Where updates are tracked by the new row too, the old one is not needed."""
        found: dict[tuple[str, str], list[str]] = {}
        for one in trackers:
            if getattr(one, "operation", None) is not None:
                found.setdefault((str(one.operation).upper(), one.row), []).append(one.label)
        new, old = found.get(("UPDATE", "NEW"), []), found.get(("UPDATE", "OLD"), [])
        return cls(
            inserts=tuple(found.get(("INSERT", "NEW"), [])),
            updates=tuple(new or old),
            deletes=tuple(found.get(("DELETE", "OLD"), [])),
            before=not new and bool(old),
        )


def has(publication: Publication) -> bool:
    """Say whether there is an event model of a published one."""
    return bool(_events(publication))


class Source:
    """The event model of a published one; of several, that with most columns."""

    def __init__(self, publication: Publication, *, using: str) -> None:  # noqa: ARG002  all sources are made so
        self.publication = publication
        self.model, *others = _events(publication)
        self.columns, missing = rows.match(publication, self.model)
        self.labels = Labels.of(self.model.pgh_trackers)
        self.notes = rows.notes(missing, [f"The events of {one._meta.label} are left out." for one in others])

    def batches(self) -> Iterator[psql.Composable]:
        """Give the query of its changes."""
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
    """Return the event models that have the object's key and rows, those with most columns first."""
    found = {model._meta.label: model for model in getattr(publication.model, "pgh_event_models", {}).values()}
    counted = [(len(rows.match(publication, model)[0]), model) for _, model in sorted(found.items())]
    key = publication.key_columns
    fit = [(n, m) for n, m in counted if len(key) == 1 and key[0] in rows.match(publication, m)[0] and _rows(m)]
    return [model for _, model in sorted(fit, key=lambda pair: -pair[0])]


def _rows(model: Any) -> bool:
    labels = Labels.of(model.pgh_trackers or ())
    return bool(labels.inserts or labels.updates or labels.deletes)


def _context(model: Any) -> psql.Composed:
    """Return the query of an event's context: a row of another table, columns of its own, or nothing."""
    context, id_ = _field(model, "pgh_context"), _field(model, "pgh_context_id")
    if isinstance(context, models.ForeignKey):
        related: Any = context.related_model
        return sql.compose("queries/audit/imports/pghistory_context", contexts=rows.table(related))
    own = {"id": id_, "metadata": context}
    parts = {name: psql.NULL if one is None else psql.Identifier("e", one.column) for name, one in own.items()}
    return sql.compose("queries/audit/imports/pghistory_inline", **parts)


def _field(model: Any, name: str) -> Any:
    try:
        return model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
