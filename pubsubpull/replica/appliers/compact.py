"""The applier of compact pages, the form in which a backlog is pulled: one statement for each table, no staging."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from django.db import IntegrityError, InterfaceError, OperationalError, transaction

from pubsubpull.base.threads import first_line
from pubsubpull.capture import sql
from pubsubpull.replica import cohorts, pages, positions
from pubsubpull.replica.appliers.base import MOVED, Applied, Declined
from pubsubpull.replica.errors import constraint_errors
from pubsubpull.replica.sizes import STANDARD_SIZES, Sizes
from pubsubpull.replica.tables import statements, values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import sql as psql

    from pubsubpull.replica.appliers.base import Further, Outcome
    from pubsubpull.replica.cohorts import Cohort
    from pubsubpull.replica.pages import Part
    from pubsubpull.replica.tables.values import Target

TRANSIENT_ERRORS = ("08", "40", "57P")
"""Classes of SQLSTATE after which a retry may succeed: connection lost, transaction rolled back, server restarting."""
COMPACT_STATEMENT = "compact"
"""The first part of the keys of these statements in `Replica.statements`."""


class _Unusual(Exception):
    """A part of a page needs more than one statement: the whole transaction is rolled back."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompactPages:
    """Applies compact pages to plain tables. Every other page is declined."""

    name: ClassVar[str] = "compact"
    further: Further
    """Pulls further pages."""
    sizes: Sizes = STANDARD_SIZES
    """Limits the number of pages in one transaction."""

    def apply(self, cohort: Cohort, page: pages.Compact, *, using: str) -> Outcome:
        """Apply the page, together with its successors if its rows refer to rows that a successor may bring."""
        together = [page]
        while True:
            try:
                moved = self._apply(cohort, together, using=using)
            except IntegrityError as error:
                if len(together) == self.sizes.compact_together or not together[-1].more:
                    return Declined(first_line(error))  # Without more changes, no later page has the missing row.
                if not _may_come(cohort, error, using=using):
                    return Declined(first_line(error))
                following = self.further.compact(together[-1].cursor)
                if not isinstance(following, pages.Compact):
                    return Declined("the service gives no further compact page")
                together.append(following)
            except Exception as error:
                if _passes(error):
                    raise
                # Swallowed: the whole page, applied next, shows which replica fails and why.
                return Declined(first_line(error))
            else:
                return Applied.up_to(together[-1]) if moved else MOVED

    def _apply(self, cohort: Cohort, together: Sequence[pages.Compact], *, using: str) -> bool:
        tables = [effect.table for effect in cohort.members if effect.table]
        with transaction.atomic(using):
            # One message. The lock comes first: the reads after it see the rows of the last committed transaction.
            locked, *columns = sql.run_each(
                using,
                positions.lock_query(cohort.service),
                *map(values.table_columns, tables),
                positions.move_query(cohort.members, together[-1].cursor),
                sql.template("queries/replica/relax"),
            )
            current = positions.by_name(locked)
            if not cohorts.is_current(cohort, current):
                transaction.set_rollback(True, using)  # The same message has moved the positions already.
                return False
            for effect, types in zip([e for e in cohort.members if e.table], columns, strict=False):
                parts = [page.parts[effect.source] for page in together if effect.source in page.parts]
                if parts and (current[effect.name].absent or not effect.reads() <= _common(parts)):
                    raise _Unusual("a column is missing")
                if parts and effect.table:
                    self._write(values.target(effect.table, using, types=dict(types)), parts, using)
        return True

    def _write(self, target: Target, parts: Sequence[Part], using: str) -> None:
        for part in parts:
            ((unusual,),) = sql.run_bound(using, self._statement(target, part.columns, using), items=part.items)
            if unusual:
                raise _Unusual("a change is no insert, update or delete of such a row")

    def _statement(self, target: Target, columns: tuple[str, ...], using: str) -> psql.SQL:
        """Return the statement for rows of these columns. It is cached, since the next pages have the same columns."""
        kept, made_for = target.replica.statements, (COMPACT_STATEMENT, using, *target.types.items(), *columns)
        statement: psql.SQL | None = kept.get(made_for)
        if statement is None:
            # Bounded: the source chooses the columns, and could fill the memory with ever new sets of them.
            own = [key for key in list(kept) if key[0] == COMPACT_STATEMENT]
            for oldest in own[: max(0, len(own) + 1 - self.sizes.statements)]:
                kept.pop(oldest, None)
            statement = kept[made_for] = statements.apply_compact(target, columns, using)
        return statement


def _common(parts: Sequence[Part]) -> frozenset[str]:
    return frozenset.intersection(*(frozenset(part.columns) for part in parts))


def _passes(error: Exception) -> bool:
    """Return True for an error after which a retry may succeed. A statement time-out is not: it would come again."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    return state is None or state.startswith(TRANSIENT_ERRORS)  # No state: the connection broke before an answer.


def _may_come(cohort: Cohort, error: IntegrityError, *, using: str) -> bool:
    """Return True if a foreign key failed for a row that a later page of this cohort may bring."""
    if getattr(error.__cause__, "sqlstate", None) != constraint_errors.FOREIGN_KEY:
        return False
    return constraint_errors.failure(cohort.members, error, using=using).needs is None
