"""The past that django-simple-history wrote down: whole rows, in one historical model for each model."""

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

PACKAGE = "simple_history"


def has(publication: Publication) -> bool:
    """Say whether there is a historical model of a published one."""
    return _historical(publication.model) is not None


class Source:
    """The historical model of a published one."""

    def __init__(self, publication: Publication, *, using: str) -> None:  # noqa: ARG002  all sources are made so
        self.publication = publication
        self.model = found = _historical(publication.model)
        self.columns, missing = rows.match(publication, found)
        related = ["Its many-to-many fields are left out: they are rows of other tables."]
        self.notes = rows.notes(missing, related if getattr(found, "_history_m2m_fields", ()) else [])

    def batches(self) -> Iterator[psql.Composable]:
        """Give the query of its changes."""
        yield sql.compose(
            "queries/audit/imports/simple_history",
            label=self.publication.label,
            table=rows.table(self.model),
            row=rows.row(self.columns, "h"),
            user=_user(self.model),
            users=rows.users(),
        )


def _historical(model: type[Model]) -> Any:
    """Return the historical model of one, None where it has none of its own."""
    manager = getattr(model._meta, "simple_history_manager_attribute", None)
    found: Any = getattr(model, manager).model if manager else None
    # A child inherits what its parent says of itself.
    return found if found is not None and found.instance_type is model else None


def _user(found: type[Model]) -> psql.Composable:
    """Return the column of the user's id; a history may be without one."""
    for name in ("history_user", "history_user_id"):
        try:
            return psql.Identifier("h", rows.column(found, name))
        except FieldDoesNotExist:
            continue
    return psql.NULL
