"""The parts of a table's SQL statements: types and values of columns, and the filter of rows."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any

from psycopg import sql as psql

from pubsubpull import exceptions
from pubsubpull.capture import sql
from pubsubpull.replica import declaration
from pubsubpull.replica.tables import encoding, removal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from pubsubpull.replica.declaration import Column, Replica

COMMA = psql.SQL(", ")
AND = psql.SQL(" AND ")
AS_TEXT = frozenset({
    "bigint", "boolean", "bytea", "character varying", "date", "double precision", "inet", "integer", "numeric", "real",
    "smallint", "text", "time without time zone", "timestamp with time zone", "timestamp without time zone", "uuid",
})  # fmt: skip
"""Types that parse the text of a JSON value. The table itself applies their length or precision."""
BUILT_IN = AS_TEXT | frozenset({
    '"char"', "bit", "bit varying", "box", "character", "cidr", "circle", "interval", "json", "jsonb", "line", "lseg",
    "macaddr", "macaddr8", "money", "name", "oid", "path", "pg_lsn", "point", "polygon", "time with time zone",
    "tsquery", "tsvector", "xml",
    "int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange",
    "int4multirange", "int8multirange", "nummultirange", "datemultirange", "tsmultirange", "tstzmultirange",
})  # fmt: skip
"""Types of PostgreSQL itself. Neither these nor their arrays can hold an hstore."""
_LENGTH = re.compile(r"\([0-9, ]+\)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """A replica's table, with the types that its columns have now."""

    replica: Replica
    """The declaration of the replica."""
    types: Mapping[str, str]
    """The types of the table's columns, by name."""

    def type_of(self, column: str) -> psql.SQL:
        """Return a column's type as SQL. Raises `ReplicaError` if the table has no such column."""
        if column not in self.types:
            raise exceptions.ReplicaError(f"The table of {self.replica.name} has no column {column!r}: migrate it.")
        return psql.SQL(self.types[column])  # Safe as SQL: format_type has quoted it.

    @property
    def relation(self) -> psql.Identifier:
        """The table's name, quoted."""
        return psql.Identifier(*filter(None, self.replica.table))


def table_columns(replica: Replica) -> psql.Composed:
    """Return the query for the columns of the replica's table, and their types."""
    return sql.compose("queries/replica/table_columns", relation=_name(replica))


def target(replica: Replica, using: str, *, types: Mapping[str, str] | None = None) -> Target:
    """Return the replica's table; `types` are read if not given. Raises `ReplicaError` if there is no table."""
    types = dict(sql.run(using, table_columns(replica))) if types is None else types
    if not types:
        raise exceptions.ReplicaError(f"{replica.name} has no table {_name(replica)}: migrate it.")
    return Target(replica=replica, types=types)


def _name(replica: Replica) -> str:
    return psql.Identifier(*filter(None, replica.table)).as_string()


def written(replica: Replica, absent: Collection[str]) -> tuple[Column, ...]:
    """Return the columns to write if the source does not send the columns `absent`: new rows get their defaults."""
    # A column without a default is left out, and PostgreSQL refuses a NOT NULL column: no value is invented.
    columns: list[Column] = []
    for column in replica.columns:
        if not (isinstance(column.source, str) and column.source in absent):
            columns.append(column)
        elif column.field.has_default():
            columns += declaration.default(column.field)
    return tuple(columns)


def key_parts(target: Target) -> dict[str, psql.Composable]:
    """Return the source's key as columns of a record `r`, and how that matches the replica's row `t`."""
    pairs = dict(zip(target.replica.key, target.replica.key_source, strict=True))
    same = [psql.SQL("t.{} = r.{}").format(psql.Identifier(name), psql.Identifier(of)) for name, of in pairs.items()]
    return {
        "key_columns": _definitions({of: target.type_of(name) for name, of in pairs.items()}),
        "match": psql.Composed(same).join(AND),
    }


def by_name(name: str) -> psql.Composable:
    """Return the value of a column of a row that is an object."""
    return psql.SQL("l.data -> {}").format(name)


def where(replica: Replica, read: Callable[[str], psql.Composable] = by_name) -> psql.Composable:
    """Return the condition for rows that the replica takes; `read` returns the SQL of a source's column."""
    if callable(replica.where):
        return psql.SQL("coalesce(e.keep, false)")
    parts: list[psql.Composable] = [psql.SQL("true")]
    for name, value in (replica.where or {}).items():
        accepted = value if isinstance(value, list | tuple | set | frozenset) else [value]
        # Compared as jsonb, in which 1 equals 1.0. A NULL counts as no match.
        texts = psql.Literal([json.dumps(each, cls=encoding.Encoder) for each in accepted])
        parts.append(psql.SQL("coalesce({} = ANY ({}::jsonb[]), false)").format(read(name), texts))
    return psql.Composed(parts).join(AND)


def computed_rows(extra: str | None) -> psql.Composable:
    """Return the join with the results of the declaration's functions, given as JSON text."""
    if extra is None:
        return psql.SQL("CROSS JOIN (VALUES (NULL::jsonb)) AS e(data)")
    text = "LEFT JOIN jsonb_to_recordset({}::jsonb) AS e(n bigint, keep boolean, data jsonb) ON e.n = l.n"
    return psql.SQL(text).format(psql.Literal(extra))


def _definitions(types: Mapping[str, psql.SQL]) -> psql.Composable:
    return psql.Composed([psql.SQL("{} {}").format(psql.Identifier(name), kind) for name, kind in types.items()]).join(
        COMMA
    )


def _on_conflict(columns: tuple[Column, ...], key: tuple[str, ...]) -> psql.Composable:
    """Return the ON CONFLICT action for a row that exists already."""
    # An equal row is not written again: no dead row, no trigger, no WAL. Images are compared, since equal values may
    # be written in two ways, as the numbers 1.0 and 1.00.
    changing = [psql.Identifier(column.name) for column in columns if column.name not in key and not column.kept]
    if not changing:
        return psql.SQL("DO NOTHING")
    names = psql.Composed(changing).join(COMMA)
    old = psql.Composed([psql.SQL("t.{}").format(name) for name in changing]).join(COMMA)
    new = psql.Composed([psql.SQL("excluded.{}").format(name) for name in changing]).join(COMMA)
    return psql.SQL("DO UPDATE SET ({names}) = ROW({new}) WHERE record_image_ne(ROW({old}), ROW({new}))").format(
        names=names, new=new, old=old
    )


def columns_of(
    target: Target,
    columns: tuple[Column, ...],
    using: str,
    indexes: Mapping[str, int] | None = None,
    *,
    exact: bool = False,
) -> dict[str, psql.Composable]:
    """Return the SQL of the columns' values, and of the records that the values are read from.

    `indexes` is for rows that are arrays: the index of each source column. With `exact`, values have the length and
    precision of their column already before they are in the table.
    """
    # A record has each name once, so a source column that fills two columns, maybe of two types, needs two records.
    records: dict[str, dict[str, psql.SQL]] = {}
    constants: dict[str, Any] = {}
    values: list[psql.Composable] = []
    for column in columns:
        kind = target.type_of(column.name)
        if column.source is declaration.VERSION:
            values.append(psql.SQL("p.version"))
            continue
        record, name = "extra", column.name
        if isinstance(column.source, declaration.Constant):
            record, constants[name] = "constant", encoding.prepared(column.field, column.source.value, using)
        elif isinstance(column.source, str):
            name = column.source
            if indexes is not None and (direct := _element(indexes[name], kind, exact=exact)):
                values.append(direct)
                continue
            record = next(f"r{i}" for i in range(len(columns)) if name not in records.get(f"r{i}", {}))
        records.setdefault(record, {})[name] = kind
        values.append(psql.Identifier(record, name))
    joins = _joins(records, constants, indexes)
    return {"values": psql.Composed(values).join(COMMA), "records": psql.Composed(joins).join(psql.SQL(" "))}


def _joins(
    records: Mapping[str, Mapping[str, psql.SQL]], constants: Mapping[str, Any], indexes: Mapping[str, int] | None
) -> list[psql.Composed]:
    """Return the joins that read each record, with the names and types of its columns."""
    sources = {
        "extra": psql.SQL("p.extra"),
        "constant": psql.SQL("{}::jsonb").format(json.dumps(constants, cls=encoding.Encoder)),
    }
    return [
        psql.SQL("CROSS JOIN LATERAL jsonb_to_record({}) AS {}({})").format(
            _readable(sources.get(record) or _object(types, indexes), types),
            psql.Identifier(record),
            _definitions(types),
        )
        for record, types in records.items()
    ]


def insert_parts(
    target: Target, columns: tuple[Column, ...], using: str, indexes: Mapping[str, int] | None = None
) -> dict[str, psql.Composable]:
    """Return the parts of a statement that inserts or updates rows and removes deleted rows."""
    replica = target.replica
    return {
        "target": target.relation,
        "names": psql.Composed([psql.Identifier(column.name) for column in columns]).join(COMMA),
        "key": psql.Composed([psql.Identifier(name) for name in replica.key]).join(COMMA),
        "update": _on_conflict(columns, replica.key),
        **removal.parts(replica, target.relation),
        **columns_of(target, columns, using, indexes),
    }


def _readable(row: psql.Composable, types: Mapping[str, psql.SQL]) -> psql.Composable:
    """Return a row with its hstore values, which are JSON objects in it, in the text form of hstore."""
    # PostgreSQL finds the hstore columns in each statement: a composite type may be altered without the table.
    kinds = {name: kind.as_string() for name, kind in types.items() if not _is_built_in(kind.as_string())}
    if not kinds:
        return row
    return psql.SQL("pubsubpull_readable({}, (SELECT pubsubpull_hstores({}::text[], {}::text[])))").format(
        row, psql.Literal([*kinds]), psql.Literal([*kinds.values()])
    )


def _is_built_in(kind: str) -> bool:
    return _LENGTH.sub("", kind).removesuffix("[]") in BUILT_IN


def _element(index: int, kind: psql.SQL, *, exact: bool) -> psql.Composable | None:
    """Return the SQL of a value in an array; None if the type needs a record."""
    plain = kind.as_string() if exact else _LENGTH.sub("", kind.as_string())
    if plain == "jsonb":
        return psql.SQL("nullif(p.data -> {}, 'null')").format(index)
    return psql.SQL("(p.data ->> {})::{}").format(index, psql.SQL(plain)) if plain in AS_TEXT else None


def _object(names: Iterable[str], indexes: Mapping[str, int] | None) -> psql.Composable:
    """Return the SQL of a row as an object; of an array, only with the needed columns."""
    if indexes is None:
        return psql.SQL("p.data")
    pairs = [psql.SQL("{}::text, p.data -> {}").format(name, indexes[name]) for name in names]
    objects = [  # PostgreSQL allows a function 100 arguments.
        psql.SQL("jsonb_build_object({})").format(psql.Composed(pairs[begin : begin + 50]).join(COMMA))
        for begin in range(0, len(pairs), 50)
    ]
    return psql.Composed(objects).join(psql.SQL(" || "))
