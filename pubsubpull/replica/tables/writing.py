"""Rows for the user's function: hand over the writes that SQL statements would have done."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from django.db import InterfaceError, OperationalError, connections

from pubsubpull import exceptions
from pubsubpull.base.threads import first_line
from pubsubpull.capture import sql
from pubsubpull.replica.tables import statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from django.db import models

    from pubsubpull.replica.declaration import Column, Replica
    from pubsubpull.replica.tables.values import Target

GONE_AT_ONCE = 1000
"""The most deletes in one call, for rows that are not in a copy."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Write:
    """A write of one row. Fields have the names of instance attributes, for a foreign key `customer_id`."""

    op: Literal["put", "delete", "truncate"]
    """`put`: insert or update the row. `delete`: remove the row. `truncate`: remove all rows."""
    version: int
    """The version of the change; 0 for a write without a change."""
    key: dict[str, Any]
    """The values of the replica's key fields; empty for a truncate."""
    values: dict[str, Any]
    """The values of all other replicated fields; empty unless `op` is `put`."""


TRUNCATE_TABLE = Write(op="truncate", version=0, key={}, values={})
"""The write of a truncate."""


def hand_over(replica: Replica, writes: Sequence[Write]) -> None:
    """Call the replica's function. Raises `ReplicaFailed` for its errors, unless the database is unavailable."""
    if not writes or replica.write is None:
        return
    try:
        replica.write(list(writes))  # A list of its own: the function may change it.
    except (OperationalError, InterfaceError):
        raise  # An unavailable database is no failure of the replica.
    except Exception as error:
        first, last = writes[0].version, writes[-1].version
        versions = f"version {first}" + (f" to {last}" if last != first else "")
        reason = f"{name(replica)} failed on {versions}: {type(error).__name__}: {first_line(error)}"
        raise exceptions.ReplicaFailed(replica.name, reason) from error


def name(replica: Replica) -> str:
    """Return the dotted path of the replica's function."""
    return f"{replica.write.__module__}.{getattr(replica.write, '__qualname__', repr(replica.write))}"


def staged_writes(
    target: Target, columns: tuple[Column, ...], between: tuple[int, int], *, extra: str | None, using: str
) -> list[Write]:
    """Return the net effect of the staged changes between two ordinals: one write for each key."""
    columns = tuple(
        column for column in columns if not column.kept
    )  # The function fills fields that are not replicated.
    query = statements.writes(target, columns, between, extra=extra, using=using)
    keys, others = _readers(_keys(target.replica), using), _readers(columns, using)
    writes: list[Write] = []
    for version, keep, *row in sql.run(using, query):
        key = {reader.name: reader.read(value) for reader, value in zip(keys, row, strict=False)}
        fields = zip(others, row[len(keys) :], strict=True) if keep else ()
        rest = {reader.name: reader.read(value) for reader, value in fields if reader.name not in key}
        writes.append(Write(op="put" if keep else "delete", version=version, key=key, values=rest))
    return writes


def gone(replica: Replica, rows: Iterable[tuple[Any, ...]], using: str) -> list[Write]:
    """Return the deletes of rows, given their keys as read from the database."""
    keys = _readers(_keys(replica), using)
    return [
        Write(
            op="delete",
            version=0,
            key={reader.name: reader.read(value) for reader, value in zip(keys, row, strict=True)},
            values={},
        )
        for row in rows
    ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Reader:
    """Converts a field's value from the database to the value of an instance."""

    name: str
    """The attribute's name."""
    converters: list[Any]
    """Django's converters of the field, in order."""
    expression: Any
    """The column, which the converters take."""
    using: str
    """The database."""

    # The converters that a queryset applies, so that the function sees the values of instances.
    def read(self, value: Any) -> Any:
        for convert in self.converters:
            value = convert(value, self.expression, connections[self.using])
        return value


def _readers(columns: Iterable[Column], using: str) -> list[_Reader]:
    return [_reader(column.field, using) for column in columns]


def _reader(field: models.Field[Any, Any], using: str) -> _Reader:
    connection, expression = connections[using], field.get_col(field.model._meta.db_table, field)
    converters = [*connection.ops.get_db_converters(expression), *expression.get_db_converters(connection)]
    return _Reader(name=field.attname, converters=converters, expression=expression, using=using)


def _keys(replica: Replica) -> list[Column]:
    by_name = {column.name: column for column in replica.columns}
    return [by_name[name] for name in replica.key]
