"""The applier of all other pages: stage them in a temporary table, and apply each effect from there."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, ClassVar

from django.db import IntegrityError, transaction

from pubsubpull.capture import sql
from pubsubpull.replica import cohorts, positions, staging
from pubsubpull.replica.appliers.base import MOVED, Applied
from pubsubpull.replica.errors import constraint_errors
from pubsubpull.replica.pages import Spool
from pubsubpull.replica.parking import store
from pubsubpull.replica.tables import values

if TYPE_CHECKING:
    from pubsubpull.replica.appliers.base import Further, Outcome
    from pubsubpull.replica.cohorts import Cohort
    from pubsubpull.replica.pages import Page


@dataclasses.dataclass(frozen=True, kw_only=True)
class StagedPages:
    """Applies any page; declines only if the cohort has left the cursor before the page.

    The rows of a page may refer to rows of a later page. Then both are applied in one transaction. If that fails for
    the same reason, the number of pages is doubled, and so on. The last page of a backlog ends with a complete
    transaction of the source, so this comes to an end there.
    """

    name: ClassVar[str] = "staged"
    further: Further | None = None
    """Pulls further pages; None if there is no way to pull."""

    def apply(self, cohort: Cohort, page: Page, *, using: str) -> Outcome:
        """Apply the page, together with its successors if its rows refer to rows that a successor may bring."""
        last, count, one_by_one = page, 1, False
        with contextlib.closing(Spool(page)) as pages:
            while True:
                try:
                    moved = _apply(cohort, pages, one_by_one=one_by_one, using=using)
                except IntegrityError as error:
                    state = getattr(error.__cause__, "sqlstate", None)
                    failed = constraint_errors.failure(cohort.members, error, using=using)
                    may_come = state == constraint_errors.FOREIGN_KEY and failed.needs is None
                    if may_come and last.more and self.further:
                        last = _add(pages, last, count, self.further)
                        count *= 2  # Doubled, so that a row far away needs few attempts.
                    elif state == constraint_errors.UNIQUE and not one_by_one:
                        one_by_one = True  # A unique value may have moved from row to row within the page.
                    else:
                        raise failed from error
                except staging.Unreadable as error:
                    raise constraint_errors.unreadable_change(cohort.members, pages, error, using=using) from error
                else:
                    return Applied.up_to(last) if moved else MOVED


def _add(pages: Spool, last: Page, count: int, further: Further) -> Page:
    """Pull up to `count` further pages; return the last one."""
    for _ in range(count):
        if last.more:
            last = further.whole(last.cursor)
            pages.add(last)
    return last


def _apply(cohort: Cohort, pages: Spool, *, one_by_one: bool, using: str) -> bool:
    effects = cohort.effects
    tables = [effect.table for effect in effects if effect.table]
    with transaction.atomic(using):
        # One message. The lock comes first: the reads after it see the rows of the last committed transaction.
        locked, *columns = sql.run_each(
            using,
            positions.lock_query(cohort.service),
            *map(values.table_columns, tables),
            positions.move_query(cohort.members, pages.cursor),
            *staging.begin_queries(relaxed=all(effect.copies() for effect in effects)),
        )
        current = positions.by_name(locked)
        if not cohorts.is_current(cohort, current):
            transaction.set_rollback(True, using)  # The same message has moved the positions already.
            return False
        types = {table.name: dict(rows) for table, rows in zip(tables, columns, strict=False)}
        # In this transaction: a key with parked changes must not get a later change applied before them.
        left_out = store.hold(cohort, pages, using=using)
        staging.stage_and_apply(
            pages, effects, current, types=types, one_by_one=one_by_one, left_out=left_out, using=using
        )
    return True
