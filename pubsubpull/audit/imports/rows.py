"""Parts of the queries that read other packages' tables."""

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
    """Return the fields of a model's own table that the log may know."""
    excluded = publication.excluded_columns
    return [field for field in publication.model._meta.local_concrete_fields if field.column not in excluded]


def row(columns: Mapping[str, str], alias: str) -> psql.Composed:
    """Return what to select for a row as the published table has it: its columns, by those of the table `alias`."""
    parts = [
        psql.SQL("{} AS {}").format(psql.Identifier(alias, theirs), psql.Identifier(ours))
        for ours, theirs in columns.items()
    ]
    return psql.SQL(", ").join(parts)


def match(publication: Publication, theirs: type[Model]) -> tuple[dict[str, str], list[str]]:
    """Return the columns of a model's table with those of another that keeps its rows, and which have none."""
    columns, missing = {}, []
    for field in fields(publication):
        try:
            columns[field.column] = column(theirs, field.name)
        except FieldDoesNotExist:
            missing.append(field.column)
    return columns, missing


def column(model: type[Model], name: str) -> str:
    """Return a field's column. Raises `FieldDoesNotExist`."""
    return str(getattr(model._meta.get_field(name), "column"))  # noqa: B009  its types know of relations without one


def notes(missing: list[str], others: list[str]) -> list[str]:
    """Return in words what is not carried over."""
    return [*([f"Not known of its rows: {', '.join(missing)}."] if missing else []), *others]


def table(model: type[Model]) -> psql.Identifier:
    """Return a model's table."""
    return psql.Identifier(*filter(None, registry.split_table(model._meta.db_table)))


def users() -> psql.Composed:
    """Return the query of the users' names."""
    model = auth.get_user_model()
    return sql.compose(
        "queries/audit/imports/users",
        id=psql.Identifier(column(model, model._meta.pk.name)),
        name=psql.Identifier(column(model, model.USERNAME_FIELD)),
        table=table(model),
    )
