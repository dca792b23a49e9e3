"""The statement that applies a page to one replica, as its table and its declaration have it."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections, models
from psycopg import sql as psql

from pubsubpull import exceptions
from pubsubpull.capture import sql
from pubsubpull.replica import declaration
from pubsubpull.replica.tables import removal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pubsubpull.replica.declaration import Column, Replica

COMMA = psql.SQL(", ")
AND = psql.SQL(" AND ")
LAID_OUT = psql.SQL("pg_temp.pubsubpull_page")
AS_TEXT = frozenset({
    "bigint", "boolean", "bytea", "character varying", "date", "double precision", "inet", "integer", "numeric", "real",
    "smallint", "text", "time without time zone", "timestamp with time zone", "timestamp without time zone", "uuid",
})  # fmt: skip
"""Types that take the text of a JSON value as it is; their length or precision is seen to on the way into the table."""
BUILT_IN = AS_TEXT | frozenset({
    '"char"', "bit", "bit varying", "box", "character", "cidr", "circle", "interval", "json", "jsonb", "line", "lseg",
    "macaddr", "macaddr8", "money", "name", "oid", "path", "pg_lsn", "point", "polygon", "time with time zone",
    "tsquery", "tsvector", "xml",
    "int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange",
    "int4multirange", "int8multirange", "nummultirange", "datemultirange", "tsmultirange", "tstzmultirange",
})  # fmt: skip
"""Types of PostgreSQL's own, which hold no hstore: neither these nor their arrays are looked at for it."""
_LENGTH = re.compile(r"\([0-9, ]+\)")


class Encoder(DjangoJSONEncoder):
    """Writes what a function gave so that PostgreSQL reads it by the column's type."""

    def default(self, o: Any) -> Any:
        """Write bytes as PostgreSQL does, what JSON holds as it is, and all else as its text."""
        if isinstance(o, bytes | bytearray | memoryview):
            return "\\x" + bytes(o).hex()
        try:
            return super().default(o)
        except TypeError:
            return str(o)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """A replica's table as the database has it now: its columns' types by name."""

    replica: Replica
    types: Mapping[str, str]

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
    """Look the replica's table up, unless its columns' types are known. Raises `ReplicaError` where there is none."""
    found = dict(sql.run(using, table_columns(replica))) if types is None else types
    if not found:
        raise exceptions.ReplicaError(f"{replica.name} has no table {_name(replica)}: migrate it.")
    return Target(replica=replica, types=found)


def _name(replica: Replica) -> str:
    return psql.Identifier(*filter(None, replica.table)).as_string()


def absent_as_default(replica: Replica, absent: Collection[str]) -> tuple[Column, ...]:
    """Return the columns to write where the source sends some no more: of new rows their defaults, of others nothing.

    A column that needs a value and has no default is left to PostgreSQL to refuse: nothing is made up.
    """
    made: list[Column] = []
    for column in replica.columns:
        gone = isinstance(column.source, str) and column.source in absent
        if not gone:
            made.append(column)
        elif column.field.has_default():
            made += declaration.default(column.field)
    return tuple(made)


def apply(
    found: Target,
    columns: tuple[Column, ...],
    *,
    after: int,
    upto: int,
    extra: str | None,
    using: str,
    page: psql.Composable = LAID_OUT,
) -> Any:
    """Return the statement that applies the changes after one place of the page, up to another."""
    replica = found.replica
    return sql.compose(
        "queries/replica/apply",
        page=page,
        source=replica.source,
        after=after,
        upto=upto,
        where=_where(replica),
        extra=_extra(extra),
        **key(found),
        **_written(found, columns, using),
    )


def upsert(found: Target, page: psql.Composable, using: str) -> Any:
    """Return the statement that applies a page which takes none of the replica's rows away, and has none twice."""
    columns = found.replica.columns
    return sql.compose(
        "queries/replica/upsert", page=page, source=found.replica.source, **_written(found, columns, using)
    )


def bulk(found: Target, names: Sequence[str], using: str) -> psql.SQL:
    """Return the statement that applies rows which come as the values of the source's columns `names`.

    It has `%(items)s` for them.
    """
    replica, places = found.replica, {name: place for place, name in enumerate(names)}
    own = {column.name: column for column in replica.columns}
    keys = _values(found, tuple(own[name] for name in replica.key), using, places, exact=True)
    local = psql.Composed([psql.Identifier("t", name) for name in replica.key]).join(COMMA)
    parts = {
        **_written(found, replica.columns, using, places),
        "where": _where(replica, lambda name: psql.SQL("l.data -> {}").format(places[name])),
        "key_records": keys["records"],
        "match": psql.SQL("({}) = ({})").format(local, keys["values"]),
        "width": psql.Literal(len(names)),
    }
    connection = connections[using].connection
    doubled = {name: psql.SQL(part.as_string(connection).replace("%", "%%")) for name, part in parts.items()}
    return psql.SQL(sql.compose("queries/replica/bulk", **doubled).as_string(connection))


def _written(
    found: Target, columns: tuple[Column, ...], using: str, places: Mapping[str, int] | None = None
) -> dict[str, psql.Composable]:
    replica = found.replica
    return {
        "target": found.relation,
        "names": psql.Composed([psql.Identifier(column.name) for column in columns]).join(COMMA),
        "key": psql.Composed([psql.Identifier(name) for name in replica.key]).join(COMMA),
        "update": _update(columns, replica.key),
        **removal.parts(replica, found.relation),
        **_values(found, columns, using, places),
    }


def writes(found: Target, columns: tuple[Column, ...], *, after: int, upto: int, extra: str | None, using: str) -> Any:
    """Return the query for what a laid out page's changes come to: each row's key, and its values."""
    replica = found.replica
    keys = key(found)
    return sql.compose(
        "queries/replica/writes",
        page=LAID_OUT,
        source=replica.source,
        after=after,
        upto=upto,
        where=_where(replica),
        extra=_extra(extra),
        keys=psql.Composed([psql.Identifier("r", of) for of in replica.key_source]).join(COMMA),
        key_columns=keys["key_columns"],
        **_values(found, columns, using),
    )


def differences(found: Target, columns: tuple[Column, ...], *, extra: str | None, using: str) -> Any:
    """Return the query for how the replica's rows differ from those laid out; versions and what is kept do not."""
    shown = tuple(column for column in columns if not column.kept and column.source is not declaration.VERSION)
    records = _values(found, shown, using)
    old = psql.Composed([psql.SQL("t.{}").format(psql.Identifier(column.name)) for column in shown]).join(COMMA)
    differ = psql.SQL("record_image_ne(ROW({old}), ROW({new}))").format(old=old, new=records["values"])
    return sql.compose(
        "queries/replica/differences",
        source=found.replica.source,
        where=_where(found.replica),
        extra=_extra(extra),
        target=found.relation,
        records=records["records"],
        differ=differ,
        removable=removal.parts(found.replica, found.relation)["removable"],
        **key(found),
    )


def key(found: Target) -> dict[str, psql.Composable]:
    """Return the source's key as columns of a record `r`, and how that matches the replica's row `t`."""
    pairs = dict(zip(found.replica.key, found.replica.key_source, strict=True))
    same = [psql.SQL("t.{} = r.{}").format(psql.Identifier(name), psql.Identifier(of)) for name, of in pairs.items()]
    return {
        "key_columns": _definitions({of: found.type_of(name) for name, of in pairs.items()}),
        "match": psql.Composed(same).join(AND),
    }


def _named(name: str) -> psql.Composable:
    return psql.SQL("l.data -> {}").format(name)


def _where(replica: Replica, read: Callable[[str], psql.Composable] = _named) -> psql.Composable:
    if callable(replica.where):
        return psql.SQL("coalesce(e.keep, false)")
    parts: list[psql.Composable] = [psql.SQL("true")]
    for name, value in (replica.where or {}).items():
        values = value if isinstance(value, list | tuple | set | frozenset) else [value]
        given = [json.dumps(one, cls=Encoder) for one in values]
        parts.append(psql.SQL("coalesce({} = ANY ({}::jsonb[]), false)").format(read(name), psql.Literal(given)))
    return psql.Composed(parts).join(AND)


def _extra(extra: str | None) -> psql.Composable:
    if extra is None:
        return psql.SQL("CROSS JOIN (VALUES (NULL::jsonb)) AS e(data)")
    text = "LEFT JOIN jsonb_to_recordset({}::jsonb) AS e(n bigint, keep boolean, data jsonb) ON e.n = l.n"
    return psql.SQL(text).format(psql.Literal(extra))


def _definitions(types: Mapping[str, psql.SQL]) -> psql.Composable:
    return psql.Composed([psql.SQL("{} {}").format(psql.Identifier(name), kind) for name, kind in types.items()]).join(
        COMMA
    )


def _update(columns: tuple[Column, ...], key: tuple[str, ...]) -> psql.Composable:
    """Return what is done where there is the row already: nothing where nothing differs."""
    written = [psql.Identifier(column.name) for column in columns if column.name not in key and not column.kept]
    if not written:
        return psql.SQL("DO NOTHING")
    names = psql.Composed(written).join(COMMA)
    old = psql.Composed([psql.SQL("t.{}").format(name) for name in written]).join(COMMA)
    new = psql.Composed([psql.SQL("excluded.{}").format(name) for name in written]).join(COMMA)
    return psql.SQL("DO UPDATE SET ({names}) = ROW({new}) WHERE record_image_ne(ROW({old}), ROW({new}))").format(
        names=names, new=new, old=old
    )


def _values(
    found: Target,
    columns: tuple[Column, ...],
    using: str,
    places: Mapping[str, int] | None = None,
    *,
    exact: bool = False,
) -> dict[str, psql.Composable]:
    """Return each column's value, and the records that the values are of.

    A record has each name once: a source column that serves twice, of perhaps another type, has another record. Where
    rows are arrays, `places` are those of the source's columns, and most values are taken from there: as their column
    would have them only on the way into the table, unless they are to be `exact`.
    """
    records: dict[str, dict[str, psql.SQL]] = {}
    constants: dict[str, Any] = {}
    values: list[psql.Composable] = []
    for column in columns:
        kind = found.type_of(column.name)
        if column.source is declaration.VERSION:
            values.append(psql.SQL("p.version"))
            continue
        record, name = "extra", column.name
        if isinstance(column.source, declaration.Constant):
            record, constants[name] = "constant", prepared(column.field, column.source.value, using)
        elif isinstance(column.source, str):
            name = column.source
            if places is not None and (direct := _direct(places[name], kind, exact=exact)):
                values.append(direct)
                continue
            record = next(f"r{i}" for i in range(len(columns)) if name not in records.get(f"r{i}", {}))
        records.setdefault(record, {})[name] = kind
        values.append(psql.Identifier(record, name))
    given = {"extra": psql.SQL("p.extra"), "constant": psql.SQL("{}::jsonb").format(json.dumps(constants, cls=Encoder))}
    joined = [
        psql.SQL("CROSS JOIN LATERAL jsonb_to_record({}) AS {}({})").format(
            _readable(given.get(record) or _object(types, places), types), psql.Identifier(record), _definitions(types)
        )
        for record, types in records.items()
    ]
    return {"values": psql.Composed(values).join(COMMA), "records": psql.Composed(joined).join(psql.SQL(" "))}


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


def _direct(place: int, kind: psql.SQL, *, exact: bool) -> psql.Composable | None:
    """Return the value at a place of a row that is an array; None where it takes more than that."""
    plain = kind.as_string() if exact else _LENGTH.sub("", kind.as_string())
    if plain == "jsonb":
        return psql.SQL("nullif(p.data -> {}, 'null')").format(place)
    return psql.SQL("(p.data ->> {})::{}").format(place, psql.SQL(plain)) if plain in AS_TEXT else None


def _object(names: Iterable[str], places: Mapping[str, int] | None) -> psql.Composable:
    """Return a row as an object, or what of it is needed, where it is an array."""
    if places is None:
        return psql.SQL("p.data")
    pairs = [psql.SQL("{}::text, p.data -> {}").format(name, places[name]) for name in names]
    objects = [  # a function takes a hundred arguments
        psql.SQL("jsonb_build_object({})").format(psql.Composed(pairs[begin : begin + 50]).join(COMMA))
        for begin in range(0, len(pairs), 50)
    ]
    return psql.Composed(objects).join(psql.SQL(" || "))


def prepared(field: models.Field[Any, Any], value: Any, using: str) -> Any:
    """Return a value of Python's as it goes into JSON for the field's column."""
    if isinstance(field, models.JSONField):
        return value
    made = field.get_db_prep_save(value, connections[using])
    return getattr(made, "obj", made)
