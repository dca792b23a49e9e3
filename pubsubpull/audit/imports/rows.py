"""Parts of the queries that read the tables of other packages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import auth
from django.core.exceptions import FieldDoesNotExist
from psycopg import sql as psql

from pubsubpull.capture import registry, sql

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.db.models import Model

    from pubsubpull.capture.registry import Publication


def fields(publication: Publication) -> list[Any]:
    """Return the fields of a model's own table, without the excluded ones."""
    excluded = publication.excluded_columns
    return [field for field in publication.model._meta.local_concrete_fields if field.column not in excluded]


def row(columns: Mapping[str, str], alias: str) -> psql.Composed:
    """Return a SELECT list of the table `alias` with the names of the published table: `alias.theirs AS ours, …`."""
    parts = [
        psql.SQL("{} AS {}").format(psql.Identifier(alias, theirs), psql.Identifier(ours))
        for ours, theirs in columns.items()
    ]
    return psql.SQL(", ").join(parts)


def match(publication: Publication, theirs: type[Model]) -> tuple[dict[str, str], list[str]]:
    """Return the columns of a published table that `theirs` has, each with its name there, and the missing columns."""
    columns, missing = {}, []
    for field in fields(publication):
        try:
            columns[field.column] = column(theirs, field.name)
        except FieldDoesNotExist:
            missing.append(field.column)
    return columns, missing


def column(model: type[Model], name: str) -> str:
    """Return the column of a field. Raises Django's `FieldDoesNotExist` if the model has no such field."""
    return str(getattr(model._meta.get_field(name), "column"))  # noqa: B009  django-stubs: reverse relations have none


def notes(missing: list[str], others: list[str]) -> list[str]:
    """Return the texts on data that an import does not take over: the columns `missing`, then `others`."""
    return [*([f"The other package does not have these columns: {', '.join(missing)}."] if missing else []), *others]


def table(model: type[Model]) -> psql.Identifier:
    """Return the table of a model as an SQL identifier."""
    return psql.Identifier(*filter(None, registry.split_table(model._meta.db_table)))


def users() -> psql.Composed:
    """Return the query for the names of users by their ids."""
    model = auth.get_user_model()
    return sql.compose(
        "queries/audit/imports/users",
        id=psql.Identifier(column(model, model._meta.pk.name)),
        name=psql.Identifier(column(model, model.USERNAME_FIELD)),
        table=table(model),
    )
