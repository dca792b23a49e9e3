"""Compact pages, as a backlog is pulled in: one statement a replica applies its part, and nothing is laid out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import IntegrityError, InterfaceError, OperationalError, transaction

from pubsubpull.capture import sql
from pubsubpull.replica import cohorts, constraint_errors, declaration, positions
from pubsubpull.replica.appliers import staged
from pubsubpull.replica.pages import Compact
from pubsubpull.replica.tables import statements

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg import sql as psql

    from pubsubpull.replica.cohorts import Cohort
    from pubsubpull.replica.pages import Page, Part

AWAY = ("08", "40", "57P")
"""Classes of errors: of the connection, of transactions that are to be tried again, of servers that stop or begin."""
KEPT = "bulk"
SHAPES = 50
"""A replica keeps at most so many statements; rows come in as many shapes as their source sends, which is another's."""

TOGETHER = 4
"""In one transaction are at most so many pages. Whoever needs more may as well be laid out."""


class NotPlain(Exception):
    """A page that cannot be applied in one go: it has to be pulled and applied as a whole one."""


def fits(cohort: Cohort) -> bool:
    """Say whether compact pages will do for these replicas: no function looks at a row, no handler at a change."""
    return not cohort.apart and all(map(staged.is_plain, cohort.replicas))


def advance(cohort: Cohort, page: Compact, *, using: str, following: Callable[[str], Compact | Page]) -> Compact | None:
    """Apply a page to replicas that stand before it, as `advance.advance` does one that is laid out.

    Raises `NotPlain` for whatever is not as usual, and has done nothing then: with the whole page it is looked into.
    """
    pages = [page]
    while True:
        try:
            done = _advance(cohort, pages, using=using)
        except IntegrityError as error:
            if len(pages) == TOGETHER or not pages[-1].more or not _may_come(cohort, error, using=using):
                raise NotPlain from error
            more = following(pages[-1].cursor)
            if not isinstance(more, Compact):
                raise NotPlain from error
            pages.append(more)
        except Exception as error:
            if isinstance(error, OperationalError | InterfaceError) and _is_away(error):
                raise
            raise NotPlain from error
        else:
            return pages[-1] if done else None


def _is_away(error: Exception) -> bool:
    """Say whether the database cannot do anything now. A statement may also take too long, or more than there is."""
    state = getattr(error.__cause__, "sqlstate", None)
    return state is None or state.startswith(AWAY)


def _may_come(cohort: Cohort, error: IntegrityError, *, using: str) -> bool:
    """Say whether a row refers to one that a later page may bring."""
    if getattr(error.__cause__, "sqlstate", None) != constraint_errors.FOREIGN_KEY:
        return False
    return constraint_errors.failure(cohort.replicas, error, using=using).needs is None


def _advance(cohort: Cohort, pages: Sequence[Compact], *, using: str) -> bool:
    replicas = [replica for replica in cohort.replicas if isinstance(replica, declaration.Replica)]
    with transaction.atomic(using):
        locked, *columns = sql.run_each(
            using,
            positions.lock_query(cohort.service),
            *map(statements.table_columns, replicas),
            positions.move_query(cohort.replicas, pages[-1].cursor),
            sql.template("queries/replica/relax"),
        )
        places = positions.by_name(locked)
        if not cohorts.is_current(cohort, places):
            transaction.set_rollback(True, using)
            return False
        for replica, types in zip(replicas, columns, strict=False):
            parts = [page.parts[replica.source] for page in pages if replica.source in page.parts]
            if parts:
                _apply(statements.target(replica, using, types=dict(types)), parts, places[replica.name].absent, using)
    return True


def _apply(found: statements.Target, parts: Sequence[Part], absent: frozenset[str], using: str) -> None:
    wanted = {*staged.read_of(found.replica)}
    for part in parts:
        if absent or not wanted <= {*part.columns}:
            raise NotPlain
        ((unlike,),) = sql.run_bound(using, _statement(found, part.columns, using), items=part.items)
        if unlike:
            raise NotPlain


def _statement(found: statements.Target, columns: tuple[str, ...], using: str) -> psql.SQL:
    """Return the statement for rows of these columns: the same page after page, it is put together once."""
    kept, of = found.replica.statements, (KEPT, using, *found.types.items(), *columns)
    made: psql.SQL | None = kept.get(of)
    if made is None:
        mine = [key for key in list(kept) if key[0] == KEPT]
        for old in mine[: max(0, len(mine) + 1 - SHAPES)]:
            kept.pop(old, None)
        made = kept[of] = statements.bulk(found, columns, using)
    return made
