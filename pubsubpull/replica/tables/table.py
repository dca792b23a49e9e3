"""The table effect: apply staged changes to a replica's table, by SQL statements or by the user's function."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from django.db import connections
from psycopg import sql as psql

from pubsubpull import exceptions
from pubsubpull.capture import sql
from pubsubpull.replica import positions
from pubsubpull.replica.tables import computed, removal, statements, values, writing
from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import Collection

    from pubsubpull.replica.declaration import OnFailure, Replica
    from pubsubpull.replica.effects import Staged, Summary
    from pubsubpull.replica.tables.values import Target

ALL_ORDINALS = (0, 2**62)
"""All ordinals of the stage."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """The replicated columns that the staged rows have or lack."""

    absent: frozenset[str] = frozenset()
    """The columns that at least one row lacks."""
    present: frozenset[str] = frozenset()
    """The columns that at least one row has."""


@dataclasses.dataclass(frozen=True)
class Table:
    """An effect: fills the table of a replica with the rows of its source."""

    table: Replica
    """The declaration of the replica."""

    @property
    def name(self) -> str:
        """Return the local model's label."""
        return self.table.name

    @property
    def source(self) -> str:
        """Return the model that the table follows."""
        return self.table.source

    @property
    def from_start(self) -> bool:
        """Return False: the rows are copied first."""
        return False

    @property
    def service(self) -> str:
        """Return the service of the source."""
        return self.table.service

    @property
    def on_failure(self) -> OnFailure:
        """Return the reaction to a change that fails."""
        return self.table.on_failure

    @property
    def shape(self) -> str:
        """Return a digest of the declaration."""
        return self.table.shape

    def reads(self) -> frozenset[str]:
        """Return the source's columns that are copied unchanged or that filter the rows."""
        where = () if callable(self.table.where) else self.table.where or ()
        return frozenset({*self.table.source_columns, *where})

    def plain(self) -> bool:
        """Return True if SQL statements alone fill the table."""
        return self.table.write is None and not self.table.in_python

    def copies(self) -> bool:
        """Return True unless the user's function writes the rows, which may do more than copy."""
        return self.table.write is None

    def apply(self, staged: Staged, *, using: str) -> None:
        """Apply the staged changes: the last change of each row, or with `one_by_one` each change in order."""
        summary = staged.summaries[self.source]
        target = values.target(self.table, using, types=staged.types.get(self.name))
        seen = self._seen(summary, using)
        self._require_needed(seen)
        # If a column appeared or disappeared within the page, write each change with the columns that it has.
        if staged.one_by_one or seen.absent & seen.present:
            _write_each(target, using)
        else:
            if summary.truncated:
                _empty(target, using)
            _write(target, seen.absent, (summary.truncated, ALL_ORDINALS[1]), using)
        self._note(seen, summary, staged, using)

    def differences(self, absent: Collection[str], *, using: str) -> list[tuple[str, str]]:
        """Return the differing keys, each with `missing`, `extra` or `different`; `absent` columns are not compared."""
        target = values.target(self.table, using)
        columns = values.written(self.table, absent)
        extra = computed.results(self.table, columns, ALL_ORDINALS, using)
        query = statements.differences(target, columns, extra=extra, using=using)
        return [(key, kind) for key, kind in sql.run(using, query)]

    def _seen(self, summary: Summary, using: str) -> Seen:
        names = sorted(self.reads())
        if summary.whole:
            return Seen(present=frozenset(names if summary.rows else ()))
        rows = sql.run(using, sql.compose("queries/replica/absent", source=self.source, columns=names))
        return Seen(
            absent=frozenset(name for name, lacked, _ in rows if lacked),
            present=frozenset(name for name, _, had in rows if had),
        )

    def _require_needed(self, seen: Seen) -> None:
        needed = {*self.table.key_source, *(() if callable(self.table.where) else self.table.where or ())}
        if missing := ", ".join(sorted(needed & seen.absent)):
            raise exceptions.ReplicaError(
                f"{self.name}: {self.source} does not send {missing}, which the replica needs for its key or filter."
            )

    def _note(self, seen: Seen, summary: Summary, staged: Staged, using: str) -> None:
        """Store the columns that the source does not send, and request a new copy where rows are incomplete."""
        # A column that was absent and appears now is in all rows of the source, also in those without a change, so
        # all rows must be copied again. The same holds for rows that changed without an entry in the log.
        known = staged.absent.get(self.name, frozenset())
        absent = known | seen.absent
        if absent & seen.present or summary.uncaptured:
            positions.copy_again([self], using)
        if absent != known:
            positions.note_absent(self, absent, using)
        staged.absent[self.name] = absent


def _write_each(target: Target, using: str) -> None:
    taken = set(target.replica.source_columns)
    for ordinal, truncates in sql.run(using, sql.compose("queries/replica/ordinals", source=target.replica.source)):
        if truncates:
            _empty(target, using)
            continue
        only = (ordinal - 1, ordinal)
        rows = computed.rows(target.replica, only, using)
        absent = taken - set(jsontext.loads(rows[0][1] or "{}")) if rows else set()  # A delete writes no column.
        _write(target, absent, only, using)


def _empty(target: Target, using: str) -> None:
    if target.replica.write is not None:
        writing.hand_over(target.replica, [writing.TRUNCATE_TABLE])
        return
    parts = removal.parts(target.replica, target.relation)
    sql.run(using, sql.compose("queries/replica/empty_table", clearing=parts["clearing"], removable=parts["removable"]))


def _write(target: Target, absent: Collection[str], between: tuple[int, int], using: str) -> None:
    replica = target.replica
    if replica.write is not None:
        columns = values.written(replica, absent)
        extra = computed.results(replica, columns, between, using)
        writing.hand_over(replica, writing.staged_writes(target, columns, between, extra=extra, using=using))
    elif replica.in_python or between != ALL_ORDINALS:
        sql.run(using, _statement(target, absent, between, using))
    else:
        sql.run(using, _kept_statement(target, absent, using))


def _kept_statement(target: Target, absent: Collection[str], using: str) -> psql.SQL:
    """Return the cached statement for a whole page, or build it for the table's present columns."""
    made_for = (*target.types.items(), *sorted(absent))
    kept: psql.SQL | None = target.replica.statements.get(made_for)  # Read once: another thread may remove it.
    if kept is None:
        text = _statement(target, absent, ALL_ORDINALS, using).as_string(connections[using].connection)
        kept = target.replica.statements[made_for] = psql.SQL(text)
    return kept


def _statement(target: Target, absent: Collection[str], between: tuple[int, int], using: str) -> psql.Composed:
    columns = values.written(target.replica, absent)
    extra = computed.results(target.replica, columns, between, using)
    return statements.merge(target, columns, between, extra=extra, using=using)
