"""Tables: what of each decides how it is captured, and whether it can be."""

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

KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}
"""What has no triggers that see all that changes there."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Child:
    """A table made with INHERITS; `columns` and `guarded` as in `Facts`."""

    schema: str
    table: str
    columns: tuple[str, ...]
    guarded: tuple[str, ...]

    @property
    def place(self) -> tuple[str, str]:
        """Where the table is."""
        return self.schema, self.table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """What decides how a table is captured."""

    schema: str
    table: str
    kind: str
    """As in `pg_class.relkind`."""
    unlogged: bool
    secured: bool
    """Whether row level security hides rows from the role that looks."""
    row_triggers: tuple[str, ...]
    cascades: tuple[str, ...]
    computed: tuple[str, ...]
    guarded: tuple[str, ...]
    """The columns that hold json."""
    partitions: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    """The names in the order of their numbers, empty for a column that was dropped."""
    children: tuple[Child, ...]
    unique_key: bool
    """Whether the key's columns are not null, and an index lets no two rows have the same."""

    @property
    def refusal(self) -> str | None:
        """Why the table cannot be captured, None where it can."""
        kind = KINDS.get(self.kind)
        return kind and f"{self.schema}.{self.table} is {kind}, whose changes no trigger sees"

    def level(self, asked: registry.Level) -> registry.Level:
        """Return `row` or `statement`: what was asked for, or what the table needs."""
        if asked != "auto":
            return asked
        return "row" if self.reasons() else "statement"

    def reasons(self) -> list[str]:
        """Say why a statement's trigger would not do for this table; empty where it would."""
        found = [f"its row trigger {name}" for name in self.row_triggers]
        found += [f"the foreign key {name} changes rows when a key moves" for name in self.cascades]
        if self.kind == "p":
            found.append("it is partitioned, and a write may name a partition")
        found += [
            f"{child.schema}.{child.table} inherits from it, and a write may name that" for child in self.children
        ]
        found += [
            f"its column {name} holds json, which may hold what jsonb cannot, and the write would fail"
            for name in self.guarded
        ]
        return found


def facts(publication: Publication, using: str = DEFAULT_DB_ALIAS) -> Facts | None:
    """Look at a published model's table; None where it does not exist."""
    return of([publication], using)[0]


def of(published: Sequence[Publication], using: str) -> list[Facts | None]:
    """Look at the tables of published models, in one query; None for each that does not exist."""
    if not published:
        return []
    query = sql.compose(
        "queries/capture/table_facts",
        relations=[psql.Identifier(*filter(None, one.table)).as_string() for one in published],
        keys=json.dumps([one.key_columns for one in published]),
    )
    found = {place: _facts(*row) for place, *row in sql.run(using, query)}
    return [found.get(place) for place in range(1, len(published) + 1)]


def require_whole(publication: Publication, using: str) -> None:
    """Raise `RowsHidden` where row level security hides rows of a published table from this role."""
    relation = psql.Identifier(*filter(None, publication.table)).as_string()
    ((secured,),) = sql.run(using, sql.compose("queries/capture/secured", relation=relation))
    if secured:
        raise rows_hidden(publication, using)


def rows_hidden(publication: Publication, using: str) -> exceptions.RowsHidden:
    """Return the error of a published table that cannot be read whole."""
    return exceptions.RowsHidden(
        f"Row level security hides rows of {publication.label} from the role that {using} is reached with. Use one "
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
