"""Pages that are staged: whatever is in them, and whatever follows them, is applied from there."""

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
    """Applies any page; it declines only if the cohort is at its beginning no more.

    Rows may refer to rows that a later page brings. Then that page is applied in the same transaction, and if that was
    not enough, twice as many as there are. A page behind which there was no more ends with whole transactions, so this
    ends there.
    """

    name: ClassVar[str] = "staged"
    further: Further | None = None

    def apply(self, cohort: Cohort, page: Page, *, using: str) -> Outcome:
        """Apply the page, and with it the next ones if rows refer to rows that those may bring."""
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
                        count *= 2
                    elif state == constraint_errors.UNIQUE and not one_by_one:
                        one_by_one = True  # a unique value may have moved from row to row within the page
                    else:
                        raise failed from error
                except staging.Unreadable as error:
                    raise constraint_errors.unreadable_change(cohort.members, pages, error, using=using) from error
                else:
                    return Applied.up_to(last) if moved else MOVED


def _add(pages: Spool, last: Page, count: int, further: Further) -> Page:
    """Pull so many pages more, or as many as there are; return the last."""
    for _ in range(count):
        if last.more:
            last = further.whole(last.cursor)
            pages.add(last)
    return last


def _apply(cohort: Cohort, pages: Spool, *, one_by_one: bool, using: str) -> bool:
    effects = cohort.effects
    tables = [effect.table for effect in effects if effect.table]
    with transaction.atomic(using):
        # One message. The lock comes first: what is read behind it is as the latest transaction left it.
        locked, *columns = sql.run_each(
            using,
            positions.lock_query(cohort.service),
            *map(values.table_columns, tables),
            positions.move_query(cohort.members, pages.cursor),
            *staging.begin_queries(relaxed=all(effect.copies() for effect in effects)),
        )
        current = positions.by_name(locked)
        if not cohorts.is_current(cohort, current):
            transaction.set_rollback(True, using)  # the positions have been moved already
            return False
        types = {table.name: dict(rows) for table, rows in zip(tables, columns, strict=False)}
        left_out = store.hold(cohort, pages, using=using)
        staging.stage_and_apply(
            pages, effects, current, types=types, one_by_one=one_by_one, left_out=left_out, using=using
        )
    return True
