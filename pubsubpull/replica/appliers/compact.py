"""Compact pages, as a backlog is pulled in: one statement a table applies its part, and nothing is staged."""

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

PASSING = ("08", "40", "57P")
"""Classes of errors that pass: of the connection, of transactions to be tried again, of servers that stop or start."""
KEPT_AS = "compact"
"""The first part of the key under which a table's statements are kept."""


class _Unusual(Exception):
    """A part of a page needs more than one statement; all of the page is taken back."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompactPages:
    """Applies compact pages to plain tables; of whatever is unusual, the whole page has to be looked into."""

    name: ClassVar[str] = "compact"
    further: Further
    sizes: Sizes = STANDARD_SIZES

    def apply(self, cohort: Cohort, page: pages.Compact, *, using: str) -> Outcome:
        """Apply the page, and with it the next ones if rows refer to rows that those may bring."""
        together = [page]
        while True:
            try:
                moved = self._apply(cohort, together, using=using)
            except IntegrityError as error:
                if len(together) == self.sizes.compact_together or not together[-1].more:
                    return Declined(first_line(error))
                if not _may_come(cohort, error, using=using):
                    return Declined(first_line(error))
                following = self.further.compact(together[-1].cursor)
                if not isinstance(following, pages.Compact):
                    return Declined("the service gives no further compact page")
                together.append(following)
            except Exception as error:
                if _passes(error):
                    raise
                # Swallowed: the whole page shows whose failure it is.
                return Declined(first_line(error))
            else:
                return Applied.up_to(together[-1]) if moved else MOVED

    def _apply(self, cohort: Cohort, together: Sequence[pages.Compact], *, using: str) -> bool:
        tables = [effect.table for effect in cohort.members if effect.table]
        with transaction.atomic(using):
            # One message. The lock comes first: what is read behind it is as the latest transaction left it.
            locked, *columns = sql.run_each(
                using,
                positions.lock_query(cohort.service),
                *map(values.table_columns, tables),
                positions.move_query(cohort.members, together[-1].cursor),
                sql.template("queries/replica/relax"),
            )
            current = positions.by_name(locked)
            if not cohorts.is_current(cohort, current):
                transaction.set_rollback(True, using)  # the positions have been moved already
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
        """Return the statement for rows of these columns, which is kept: page after page has the same."""
        kept, made_for = target.replica.statements, (KEPT_AS, using, *target.types.items(), *columns)
        statement: psql.SQL | None = kept.get(made_for)
        if statement is None:
            own = [key for key in list(kept) if key[0] == KEPT_AS]
            for oldest in own[: max(0, len(own) + 1 - self.sizes.statements)]:
                kept.pop(oldest, None)
            statement = kept[made_for] = statements.apply_compact(target, columns, using)
        return statement


def _common(parts: Sequence[Part]) -> frozenset[str]:
    return frozenset.intersection(*(frozenset(part.columns) for part in parts))


def _passes(error: Exception) -> bool:
    """Return True if the database can do nothing now. That a statement takes too long does not pass by itself."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    return state is None or state.startswith(PASSING)


def _may_come(cohort: Cohort, error: IntegrityError, *, using: str) -> bool:
    """Return True if a row refers to a row that a later page may bring."""
    if getattr(error.__cause__, "sqlstate", None) != constraint_errors.FOREIGN_KEY:
        return False
    return constraint_errors.failure(cohort.members, error, using=using).needs is None
