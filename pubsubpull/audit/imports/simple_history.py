"""The past from django-simple-history: whole rows, in a historical model for each model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import FieldDoesNotExist
from psycopg import sql as psql

from pubsubpull.audit.imports import rows
from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.models import Model

    from pubsubpull.capture.registry import Publication


def has(publication: Publication) -> bool:
    """Return True if a published model has a historical model."""
    return _historical(publication.model) is not None


class Source:
    """The historical model of a published model."""

    def __init__(self, publication: Publication, *, using: str) -> None:  # noqa: ARG002  as all sources
        self.publication = publication
        self.model = _historical(publication.model)
        self.columns, missing = rows.match(publication, self.model)
        related = ["Its many-to-many fields are left out: they are rows of other tables."]
        self.notes = rows.notes(missing, related if getattr(self.model, "_history_m2m_fields", ()) else [])

    def batches(self) -> Iterator[psql.Composable]:
        """Yield the query for all changes of the model."""
        yield sql.compose(
            "queries/audit/imports/simple_history",
            label=self.publication.label,
            table=rows.table(self.model),
            row=rows.row(self.columns, "h"),
            user=_user(self.model),
            users=rows.users(),
        )


def _historical(model: type[Model]) -> Any:
    """Return the historical model of a model; None if it has none of its own."""
    manager = getattr(model._meta, "simple_history_manager_attribute", None)
    historical: Any = getattr(model, manager).model if manager else None
    # A child model inherits its parent's manager, but not the rows of its historical model.
    return historical if historical is not None and historical.instance_type is model else None


def _user(historical: type[Model]) -> psql.Composable:
    """Return the column of the user's id; NULL if the historical model has none."""
    for name in ("history_user", "history_user_id"):
        try:
            return psql.Identifier("h", rows.column(historical, name))
        except FieldDoesNotExist:
            continue
    return psql.NULL
