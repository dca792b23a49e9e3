"""The table effect: applies staged changes to a declared table, by statements or by the user's function."""

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

ALL = (0, 2**62)
"""All ordinals of what is staged."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """Which of the source's columns that a table takes over the staged rows have."""

    absent: frozenset[str] = frozenset()
    """The columns that some rows lack."""
    present: frozenset[str] = frozenset()
    """The columns that some rows have."""


@dataclasses.dataclass(frozen=True)
class Table:
    """An effect: the table of a declared replica is filled with its source's rows."""

    table: Replica
    """What is declared of the table."""

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
        """Return the service that has the source."""
        return self.table.service

    @property
    def on_failure(self) -> OnFailure:
        """Return what becomes of a change that the table cannot take."""
        return self.table.on_failure

    @property
    def shape(self) -> str:
        """Return a digest of the declaration."""
        return self.table.shape

    def reads(self) -> frozenset[str]:
        """Return the source's columns that are taken over, and those that pick the rows."""
        where = () if callable(self.table.where) else self.table.where or ()
        return frozenset({*self.table.source_columns, *where})

    def plain(self) -> bool:
        """Return True if PostgreSQL fills the table by itself."""
        return self.table.write is None and not self.table.in_python

    def copies(self) -> bool:
        """Return True unless the user's function writes: that may do more than copy."""
        return self.table.write is None

    def apply(self, staged: Staged, *, using: str) -> None:
        """Apply the staged changes: of each row the last change, or each change in order if they go one by one."""
        summary = staged.summaries[self.source]
        target = values.target(self.table, using, types=staged.types.get(self.name))
        seen = self._seen(summary, using)
        self._require_needed(seen)
        # If a column came or went within the page, each change has to be written with the columns that it has.
        if staged.one_by_one or seen.absent & seen.present:
            _write_each(target, using)
        else:
            if summary.truncated:
                _empty(target, using)
            _write(target, seen.absent, (summary.truncated, ALL[1]), using)
        self._note(seen, summary, staged, using)

    def differences(self, absent: Collection[str], *, using: str) -> list[tuple[str, str]]:
        """Return how the table differs from the staged rows: keys, each `missing`, `extra` or `different`."""
        target = values.target(self.table, using)
        columns = values.written(self.table, absent)
        extra = computed.results(self.table, columns, ALL, using)
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
                f"{self.name}: {self.source} does not send {missing}, which the replica cannot do without."
            )

    def _note(self, seen: Seen, summary: Summary, staged: Staged, using: str) -> None:
        """Note which columns the source does not send.

        A column that was missing and is sent now is in all rows of the source, changed or not: they have to be copied
        again, and so do rows that may have changed without changes.
        """
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
        absent = taken - set(jsontext.loads(rows[0][1] or "{}")) if rows else set()  # a delete writes no column
        _write(target, absent, only, using)


def _empty(target: Target, using: str) -> None:
    if target.replica.write is not None:
        writing.hand_over(target.replica, [writing.TRUNCATED_WRITE])
        return
    parts = removal.parts(target.replica, target.relation)
    sql.run(using, sql.compose("queries/replica/empty_table", clearing=parts["clearing"], removable=parts["removable"]))


def _write(target: Target, absent: Collection[str], between: tuple[int, int], using: str) -> None:
    replica = target.replica
    if replica.write is not None:
        columns = values.written(replica, absent)
        extra = computed.results(replica, columns, between, using)
        writing.hand_over(replica, writing.staged_writes(target, columns, between, extra=extra, using=using))
    elif replica.in_python or between != ALL:
        sql.run(using, _statement(target, absent, between, using))
    else:
        sql.run(using, _kept_statement(target, absent, using))


def _kept_statement(target: Target, absent: Collection[str], using: str) -> psql.SQL:
    """Return the statement for a whole page, which is put together once for as long as the table stays as it is."""
    made_for = (*target.types.items(), *sorted(absent))
    kept: psql.SQL | None = target.replica.statements.get(made_for)  # read once: another thread may forget it any time
    if kept is None:
        text = _statement(target, absent, ALL, using).as_string(connections[using].connection)
        kept = target.replica.statements[made_for] = psql.SQL(text)
    return kept


def _statement(target: Target, absent: Collection[str], between: tuple[int, int], using: str) -> psql.Composed:
    columns = values.written(target.replica, absent)
    extra = computed.results(target.replica, columns, between, using)
    return statements.merge(target, columns, between, extra=extra, using=using)
