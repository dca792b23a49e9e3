"""The SQL statements that apply staged changes, or a compact page, to a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connections
from psycopg import sql as psql

from pubsubpull.capture import sql
from pubsubpull.replica import declaration
from pubsubpull.replica.tables import removal, values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pubsubpull.replica.declaration import Column
    from pubsubpull.replica.tables.values import Target

STAGED = psql.SQL("pg_temp.pubsubpull_page")
"""The temporary table of the stage."""


def merge(
    target: Target,
    columns: tuple[Column, ...],
    between: tuple[int, int],
    *,
    extra: str | None,
    using: str,
    page: psql.Composable = STAGED,
) -> psql.Composed:
    """Return the statement that applies the changes above the first ordinal, up to the second.

    `extra` is the JSON text of computed columns.
    """
    after, upto = between
    return sql.compose(
        "queries/replica/apply",
        page=page,
        source=target.replica.source,
        after=after,
        upto=upto,
        where=values.where(target.replica),
        extra=values.computed_rows(extra),
        **values.key_parts(target),
        **values.insert_parts(target, columns, using),
    )


def upsert(target: Target, page: psql.Composable, using: str) -> psql.Composed:
    """Return the statement that applies a page without deletes and without two changes of one row."""
    columns = target.replica.columns
    return sql.compose(
        "queries/replica/upsert", page=page, source=target.replica.source, **values.insert_parts(target, columns, using)
    )


def apply_compact(target: Target, names: Sequence[str], using: str) -> psql.SQL:
    """Return the statement that applies a part of a compact page, with the placeholder `%(items)s`.

    Its rows are arrays of the values of the source's columns `names`.
    """
    replica, indexes = target.replica, {name: index for index, name in enumerate(names)}
    by_name = {column.name: column for column in replica.columns}
    key = tuple(by_name[name] for name in replica.key)
    # Exact, since the key is compared with the table's values, which are shortened or rounded to their type.
    wanted = values.columns_of(target, key, using, indexes, exact=True)
    local = psql.Composed([psql.Identifier("t", name) for name in replica.key]).join(values.COMMA)
    parts = {
        **values.insert_parts(target, replica.columns, using, indexes),
        "where": values.where(replica, lambda name: psql.SQL("l.data -> {}").format(indexes[name])),
        "key_records": wanted["records"],
        "match": psql.SQL("({}) = ({})").format(local, wanted["values"]),
        "width": psql.Literal(len(names)),
    }
    connection = connections[using].connection
    # The text is bound with `%(items)s`, so every other per cent sign must be doubled.
    doubled = {name: psql.SQL(part.as_string(connection).replace("%", "%%")) for name, part in parts.items()}
    return psql.SQL(sql.compose("queries/replica/apply_compact", **doubled).as_string(connection))


def writes(
    target: Target, columns: tuple[Column, ...], between: tuple[int, int], *, extra: str | None, using: str
) -> psql.Composed:
    """Return the query for the net effect of the changes between two ordinals: each row's key and values."""
    replica, (after, upto) = target.replica, between
    return sql.compose(
        "queries/replica/writes",
        page=STAGED,
        source=replica.source,
        after=after,
        upto=upto,
        where=values.where(replica),
        extra=values.computed_rows(extra),
        keys=psql.Composed([psql.Identifier("r", of) for of in replica.key_source]).join(values.COMMA),
        key_columns=values.key_parts(target)["key_columns"],
        **values.columns_of(target, columns, using),
    )


def differences(target: Target, columns: tuple[Column, ...], *, extra: str | None, using: str) -> psql.Composed:
    """Return the query for the differences between the table's rows and the staged rows."""
    # A version or a kept column may differ rightly: it depends on when the row was written here.
    shown = tuple(column for column in columns if not column.kept and column.source is not declaration.VERSION)
    records = values.columns_of(target, shown, using)
    old = psql.Composed([psql.SQL("t.{}").format(psql.Identifier(column.name)) for column in shown]).join(values.COMMA)
    differ = psql.SQL("record_image_ne(ROW({old}), ROW({new}))").format(old=old, new=records["values"])
    return sql.compose(
        "queries/replica/differences",
        source=target.replica.source,
        where=values.where(target.replica),
        extra=values.computed_rows(extra),
        target=target.relation,
        records=records["records"],
        differ=differ,
        removable=removal.parts(target.replica, target.relation)["removable"],
        **values.key_parts(target),
    )
