"""The parts of a table's statements: its columns' types, the values that go into them, the rows that are picked."""

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
"""Types that take the text of a JSON value as it is; the table itself applies their length or precision."""
BUILT_IN = AS_TEXT | frozenset({
    '"char"', "bit", "bit varying", "box", "character", "cidr", "circle", "interval", "json", "jsonb", "line", "lseg",
    "macaddr", "macaddr8", "money", "name", "oid", "path", "pg_lsn", "point", "polygon", "time with time zone",
    "tsquery", "tsvector", "xml",
    "int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange",
    "int4multirange", "int8multirange", "nummultirange", "datemultirange", "tsmultirange", "tstzmultirange",
})  # fmt: skip
"""Types of PostgreSQL's own, which hold no hstore: neither these nor their arrays are looked at for it."""
_LENGTH = re.compile(r"\([0-9, ]+\)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """A replica's table as the database has it now."""

    replica: Replica
    """What is declared of the table."""
    types: Mapping[str, str]
    """The types of its columns, by name."""

    def type_of(self, column: str) -> psql.SQL:
        """Return a column's type, as PostgreSQL itself wrote it."""
        if column not in self.types:
            raise exceptions.ReplicaError(f"The table of {self.replica.name} has no column {column!r}: migrate it.")
        return psql.SQL(self.types[column])  # from the catalogue, quoted there

    @property
    def relation(self) -> psql.Identifier:
        """The table's name, quoted."""
        return psql.Identifier(*filter(None, self.replica.table))


def table_columns(replica: Replica) -> psql.Composed:
    """Return the query for the columns of the replica's table, and their types."""
    return sql.compose("queries/replica/table_columns", relation=_name(replica))


def target(replica: Replica, using: str, *, types: Mapping[str, str] | None = None) -> Target:
    """Look up the replica's table, unless the types of its columns are known. Raises `ReplicaError` if it has none."""
    types = dict(sql.run(using, table_columns(replica))) if types is None else types
    if not types:
        raise exceptions.ReplicaError(f"{replica.name} has no table {_name(replica)}: migrate it.")
    return Target(replica=replica, types=types)


def _name(replica: Replica) -> str:
    return psql.Identifier(*filter(None, replica.table)).as_string()


def written(replica: Replica, absent: Collection[str]) -> tuple[Column, ...]:
    """Return the columns to write if the source does not send those `absent`: of new rows they get their defaults.

    A column that needs a value and has no default is left to PostgreSQL to refuse: nothing is made up.
    """
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
    """Return the condition for the rows that the replica takes; `read` gives the value of a column of the source."""
    if callable(replica.where):
        return psql.SQL("coalesce(e.keep, false)")
    parts: list[psql.Composable] = [psql.SQL("true")]
    for name, value in (replica.where or {}).items():
        accepted = value if isinstance(value, list | tuple | set | frozenset) else [value]
        texts = psql.Literal([json.dumps(each, cls=encoding.Encoder) for each in accepted])
        parts.append(psql.SQL("coalesce({} = ANY ({}::jsonb[]), false)").format(read(name), texts))
    return psql.Composed(parts).join(AND)


def computed_rows(extra: str | None) -> psql.Composable:
    """Return the join with what the declaration's functions made of the rows."""
    if extra is None:
        return psql.SQL("CROSS JOIN (VALUES (NULL::jsonb)) AS e(data)")
    text = "LEFT JOIN jsonb_to_recordset({}::jsonb) AS e(n bigint, keep boolean, data jsonb) ON e.n = l.n"
    return psql.SQL(text).format(psql.Literal(extra))


def _definitions(types: Mapping[str, psql.SQL]) -> psql.Composable:
    return psql.Composed([psql.SQL("{} {}").format(psql.Identifier(name), kind) for name, kind in types.items()]).join(
        COMMA
    )


def _on_conflict(columns: tuple[Column, ...], key: tuple[str, ...]) -> psql.Composable:
    """Return what is done if the row exists already: nothing if nothing differs."""
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
    """Return each column's value, and the records that the values are of.

    A record has each name once: a source column that serves twice, perhaps with another type, gets another record. If
    rows are arrays, `indexes` says where each source column is in them, and most values are taken from there. Such a
    value has its column's length and precision only once it is in the table, unless it is to be `exact`.
    """
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
    """Return the parts of a statement that inserts or updates the rows, and removes those that are gone."""
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
    """Return a row whose values of hstore, which are objects in it, are as hstore reads them.

    PostgreSQL finds the columns that hold any, once a statement: a type may be altered while the table stays as it is.
    """
    kinds = {name: kind.as_string() for name, kind in types.items() if not _is_built_in(kind.as_string())}
    if not kinds:
        return row
    return psql.SQL("pubsubpull_readable({}, (SELECT pubsubpull_hstores({}::text[], {}::text[])))").format(
        row, psql.Literal([*kinds]), psql.Literal([*kinds.values()])
    )


def _is_built_in(kind: str) -> bool:
    return _LENGTH.sub("", kind).removesuffix("[]") in BUILT_IN


def _element(index: int, kind: psql.SQL, *, exact: bool) -> psql.Composable | None:
    """Return the value at an index of a row that is an array; None if its type needs a record."""
    plain = kind.as_string() if exact else _LENGTH.sub("", kind.as_string())
    if plain == "jsonb":
        return psql.SQL("nullif(p.data -> {}, 'null')").format(index)
    return psql.SQL("(p.data ->> {})::{}").format(index, psql.SQL(plain)) if plain in AS_TEXT else None


def _object(names: Iterable[str], indexes: Mapping[str, int] | None) -> psql.Composable:
    """Return a row as an object; of a row that is an array, the columns that are needed."""
    if indexes is None:
        return psql.SQL("p.data")
    pairs = [psql.SQL("{}::text, p.data -> {}").format(name, indexes[name]) for name in names]
    objects = [  # a function takes a hundred arguments
        psql.SQL("jsonb_build_object({})").format(psql.Composed(pairs[begin : begin + 50]).join(COMMA))
        for begin in range(0, len(pairs), 50)
    ]
    return psql.Composed(objects).join(psql.SQL(" || "))
