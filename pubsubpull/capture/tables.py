"""The properties of published tables that decide how, and whether, their changes are captured."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS
from psycopg import sql as psql

from pubsubpull import exceptions
from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pubsubpull.capture import registry
    from pubsubpull.capture.registry import Publication

UNCAPTURABLE_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}
"""By `pg_class.relkind`, the relations that may change without firing a trigger of their own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Child:
    """A table created with INHERITS; the fields are as in `Facts`."""

    schema: str
    table: str
    columns: tuple[str, ...]
    guarded: tuple[str, ...]

    @property
    def qualified_name(self) -> tuple[str, str]:
        """The table's schema and name."""
        return self.schema, self.table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """The properties of a table that decide how it is captured."""

    schema: str
    """The table's schema."""
    table: str
    """The table's name, without its schema."""
    kind: str
    """The letter of `pg_class.relkind`."""
    unlogged: bool
    """True if the table is UNLOGGED: a crash empties it."""
    secured: bool
    """True if row level security hides rows from the current role."""
    row_triggers: tuple[str, ...]
    """The names of the application's AFTER triggers FOR EACH ROW."""
    cascades: tuple[str, ...]
    """The names of foreign keys to this table with ON UPDATE CASCADE, SET NULL or SET DEFAULT."""
    computed: tuple[str, ...]
    """The virtual generated columns, whose values triggers do not get."""
    guarded: tuple[str, ...]
    """The columns of type json, which may hold values that jsonb refuses."""
    partitions: tuple[tuple[str, str], ...]
    """The schema and name of each partition."""
    columns: tuple[str, ...]
    """The columns' names by their numbers (`attnum`), empty for a dropped column."""
    children: tuple[Child, ...]
    """The tables that inherit from this one."""
    unique_key: bool
    """True if the key's columns are NOT NULL and have a unique index."""

    @property
    def refusal(self) -> str | None:
        """The reason why the table cannot be captured; None if it can be."""
        kind = UNCAPTURABLE_KINDS.get(self.kind)
        return kind and f"{self.schema}.{self.table} is {kind}, whose changes no trigger sees"

    def level(self, asked: registry.Level) -> registry.Level:
        """Return `row` or `statement`: `asked`, or for `auto` the level that the table needs."""
        # Accepted even if the table needs the other level: a system check warns about it.
        if asked != "auto":
            return asked
        return "row" if self.reasons() else "statement"

    def reasons(self) -> list[str]:
        """Return the reasons why statement triggers would miss changes of this table; empty if they would not."""
        reasons = [f"its row trigger {name}" for name in self.row_triggers]
        reasons += [f"the foreign key {name} changes rows when a key moves" for name in self.cascades]
        # A write to a partition fires the statement triggers of the partition alone, not those of its root.
        if self.kind == "p":
            reasons.append("it is partitioned, and a write may name a partition")
        reasons += [
            f"{child.schema}.{child.table} inherits from it, and a write may name that" for child in self.children
        ]
        reasons += [
            f"its column {name} holds json: a value that jsonb refuses would make the write fail"
            for name in self.guarded
        ]
        return reasons


def facts(publication: Publication, using: str = DEFAULT_DB_ALIAS) -> Facts | None:
    """Return the properties of a published model's table; None if the database has no such table."""
    return of([publication], using)[0]


def of(published: Sequence[Publication], using: str) -> list[Facts | None]:
    """Return the properties of each publication's table, read in one query; None for a table that does not exist."""
    if not published:
        return []
    query = sql.compose(
        "queries/capture/table_facts",
        # As texts for to_regclass, which returns NULL for a missing table. A name in the query would be an error.
        relations=[psql.Identifier(*filter(None, publication.table)).as_string() for publication in published],
        keys=json.dumps([publication.key_columns for publication in published]),
    )
    # The query numbers the relations from 1, and returns no row for a missing one.
    by_number = {number: _facts(*row) for number, *row in sql.run(using, query)}
    return [by_number.get(number) for number in range(1, len(published) + 1)]


def require_whole(publication: Publication, using: str) -> None:
    """Raise `RowsHidden` if row level security hides rows of a published table from the current role."""
    relation = psql.Identifier(*filter(None, publication.table)).as_string()
    ((secured,),) = sql.run(using, sql.compose("queries/capture/secured", relation=relation))
    if secured:
        raise rows_hidden(publication, using)


def rows_hidden(publication: Publication, using: str) -> exceptions.RowsHidden:
    """Return the error for a published table of which row level security hides rows."""
    return exceptions.RowsHidden(
        f"Row level security hides rows of {publication.label} from the role of the database {using}. Use a role "
        "with BYPASSRLS, or the table's owner without FORCE ROW LEVEL SECURITY."
    )


def _facts(schema: str, table: str, kind: str, unlogged: bool, secured: bool, *rest: Any) -> Facts:
    row_triggers, cascades, computed, guarded, partitions, columns, children, unique_key = rest
    return Facts(
        schema=schema,
        table=table,
        kind=kind,
        unlogged=unlogged,
        secured=secured,
        row_triggers=tuple(row_triggers),
        cascades=tuple(cascades),
        computed=tuple(computed),
        guarded=tuple(guarded),
        partitions=tuple((a, b) for a, b in partitions),
        columns=tuple(columns),
        children=tuple(_child(**child) for child in children),
        unique_key=unique_key,
    )


def _child(schema: str, table: str, columns: list[str], guarded: list[str]) -> Child:
    return Child(schema=schema, table=table, columns=tuple(columns), guarded=tuple(guarded))
