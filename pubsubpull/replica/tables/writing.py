"""Rows that the user's function writes: it is handed what PostgreSQL would have written."""

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
"""The most deletes that are handed over at once, of rows that a copy does not have."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Write:
    """What is to become of a row. Fields are named as on an instance, a foreign key's as `customer_id`."""

    op: Literal["put", "delete", "truncate"]
    """`put`: the row is to be so, new or not. `delete`: the source has it no more. `truncate`: it has no row at all."""
    version: int
    """The version of the change; 0 where there is none."""
    key: dict[str, Any]
    """The replica's key fields; empty for a truncate."""
    values: dict[str, Any]
    """All other fields that the replica takes over, of a put."""


TRUNCATED_WRITE = Write(op="truncate", version=0, key={}, values={})


def hand_over(replica: Replica, writes: Sequence[Write]) -> None:
    """Call the replica's function. Raises `ReplicaFailed` for what it raises, unless the database is away."""
    if not writes or replica.write is None:
        return
    try:
        replica.write(list(writes))
    except (OperationalError, InterfaceError):
        raise  # the database is away: that is no failure of the replica
    except Exception as error:
        first, last = writes[0].version, writes[-1].version
        versions = f"version {first}" + (f" to {last}" if last != first else "")
        reason = f"{name(replica)} failed on {versions}: {type(error).__name__}: {first_line(error)}"
        raise exceptions.ReplicaFailed(replica.name, reason) from error


def name(replica: Replica) -> str:
    """Return the function's name, with its module's."""
    return f"{replica.write.__module__}.{getattr(replica.write, '__qualname__', repr(replica.write))}"


def staged_writes(
    target: Target, columns: tuple[Column, ...], between: tuple[int, int], *, extra: str | None, using: str
) -> list[Write]:
    """Return what the staged changes between two ordinals come to: one write for each key."""
    columns = tuple(column for column in columns if not column.kept)  # the function sees to what is the user's own
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
    """Return the deletes of rows, given their keys as the database has them."""
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
    """Makes of what the database gives for a field what an instance has."""

    name: str
    converters: list[Any]
    expression: Any
    using: str

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
