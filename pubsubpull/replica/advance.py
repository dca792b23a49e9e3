"""Moving on: pages are applied to the replicas that stand before them, in one transaction with their cursors."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from pubsubpull import exceptions
from pubsubpull.base.threads import first_line
from pubsubpull.capture import sql
from pubsubpull.replica import cohorts, constraint_errors, declaration, handlers, positions
from pubsubpull.replica.appliers import single_message, staged
from pubsubpull.replica.database_errors import is_away
from pubsubpull.replica.pages import Spool, up_to_now
from pubsubpull.replica.parking import store
from pubsubpull.replica.tables import statements

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from pubsubpull.replica.cohorts import Cohort
    from pubsubpull.replica.declaration import Follows
    from pubsubpull.replica.pages import Page
    from pubsubpull.replica.positions import Position


def advance(cohort: Cohort, page: Page, *, using: str, following: Callable[[str], Page] | None = None) -> Page | None:
    """Apply a page to replicas that stand before it; None where they do not stand there (any more).

    Rows may refer to rows that a later page brings: then that page, from `following`, is applied in the same
    transaction; if that was not enough, twice as many as there are. A page after which there was no more holds whole
    transactions, so this ends there. Returned is the last page. Raises `ReplicaFailed`.
    """
    if single_message.advance(cohort, page, using=using):
        return page
    last, count, one_by_one = page, 1, False
    with contextlib.closing(Spool(page)) as pages:
        while True:
            try:
                done = _advance(cohort, pages, using=using, one_by_one=one_by_one)
            except IntegrityError as error:
                state = getattr(error.__cause__, "sqlstate", None)
                failed = constraint_errors.failure(cohort.replicas, error, using=using)
                if state == constraint_errors.FOREIGN_KEY and failed.needs is None and last.more and following:
                    for _ in range(count):
                        if last.more:
                            last = following(last.cursor)
                            pages.add(last)
                    count *= 2
                elif state == constraint_errors.UNIQUE and not one_by_one:
                    one_by_one = True  # a unique value that went from row to row within the page
                else:
                    raise failed from error
            except staged.Unreadable as error:
                raise constraint_errors.unreadable_change(cohort.replicas, pages, error, using=using) from error
            else:
                return last if done else None


def _advance(cohort: Cohort, pages: Spool, *, using: str, one_by_one: bool) -> bool:
    tables = [replica for replica in cohort.replicas if isinstance(replica, declaration.Replica)]
    # What the user's functions write may be more than a copy.
    relaxed = not any(handlers.of(one) for one in cohort.replicas) and all(table.write is None for table in tables)
    with transaction.atomic(using):
        locked, *columns = sql.run_each(
            using,
            positions.lock_query(cohort.service),
            *map(statements.table_columns, tables),
            positions.move_query(cohort.replicas, pages.cursor),
            *staged.opening(relaxed=relaxed),
        )
        places = positions.by_name(locked)
        if not cohorts.is_current(cohort, places):
            transaction.set_rollback(True, using)
            return False
        types = {replica.name: dict(found) for replica, found in zip(tables, columns, strict=False)}
        left_out = store.hold(cohort, pages, using=using)
        apply_pages(cohort, pages, places, types=types, using=using, one_by_one=one_by_one, left_out=left_out)
    return True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Late:
    """Replicas that stand elsewhere than the main ones. They go on from the cursor `start`, after `first` was done."""

    cohort: Cohort
    start: str
    first: Callable[[], object] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coming:
    """What leads late replicas to a meeting. `pages` lead beyond it; `beyond` are the versions of what lies there."""

    late: Late
    pages: Spool
    beyond: Collection[int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Meeting:
    """How replicas that stand at several places come to stand at one: where `pages` lead the main ones."""

    main: Cohort
    pages: Spool
    coming: Sequence[Coming]


@contextlib.contextmanager
def meeting(main: Cohort, lates: Sequence[Late], pull: Callable[[list[str], str], Page]) -> Iterator[Meeting]:
    """Pull what leads replicas to a meeting, wherever they stand, and hold it.

    The order matters: the late ones' pages are pulled after the main ones', and so lead at least as far; what lies
    beyond the meeting is pulled last, and so is all of it that they hold.
    """

    def pulled(cohort: Cohort, after: str) -> Iterator[Page]:
        return up_to_now(functools.partial(pull, cohort.sources), after)

    with contextlib.ExitStack() as held:

        def gathered(cohort: Cohort, after: str) -> Spool:
            found = held.enter_context(contextlib.closing(Spool()))
            for page in pulled(cohort, after):
                found.add(page)
            return found

        found = gathered(main, main.cursor)
        coming: list[Coming] = []
        for late in lates:
            brought = gathered(late.cohort, late.start)
            beyond = {version for page in pulled(late.cohort, found.cursor) for version in staged.versions(page)}
            coming.append(Coming(late=late, pages=brought, beyond=beyond))
        yield Meeting(main=main, pages=found, coming=coming)


def join(meeting: Meeting, *, using: str) -> bool:
    """Let replicas that stand elsewhere go on with the others; False where one of them stands there no more.

    All come to the same state of the source in one transaction, so that rows may refer to each other. Each change is
    applied once, and told to handlers once. Raises `ReplicaFailed`.
    """
    one_by_one = False
    while True:
        try:
            return _join(meeting, using=using, one_by_one=one_by_one)
        except IntegrityError as error:
            if one_by_one or getattr(error.__cause__, "sqlstate", None) != constraint_errors.UNIQUE:
                late = [replica for coming in meeting.coming for replica in coming.late.cohort.replicas]
                raise constraint_errors.failure([*late, *meeting.main.replicas], error, using=using) from error
            one_by_one = True
        except staged.Unreadable as error:
            cohort, given = _whose(meeting, error.name)
            raise constraint_errors.unreadable_change(cohort.replicas, given, error, using=using) from error


def _whose(meeting: Meeting, name: str) -> tuple[Cohort, Spool]:
    """Return where a replica of a meeting stands, and its pages."""
    late = next((one for one in meeting.coming if name in {r.name for r in one.late.cohort.replicas}), None)
    return (late.late.cohort, late.pages) if late else (meeting.main, meeting.pages)


def _join(meeting: Meeting, *, using: str, one_by_one: bool) -> bool:
    main, end = meeting.main, meeting.pages.cursor
    with transaction.atomic(using):
        places = positions.lock(main.service, using)
        lates = [coming.late for coming in meeting.coming]
        if not (
            cohorts.is_current(main, places)
            and all(cohorts.is_current(one.cohort, places, follows=not one.first) for one in lates)
        ):
            return False
        for coming in meeting.coming:
            if coming.late.first:
                coming.late.first()
            positions.move(coming.late.cohort.replicas, end, using=using)
        positions.move(main.replicas, end, using=using)
        staged.open_page(using)
        left_out = store.hold(main, meeting.pages, using=using)
        apply_pages(main, meeting.pages, places, using=using, one_by_one=one_by_one, left_out=left_out)
        for coming in meeting.coming:
            staged.open_page(using)
            late, beyond = coming.late.cohort, list(coming.beyond)
            beyond += store.hold(late, coming.pages, using=using)
            apply_pages(late, coming.pages, places, using=using, one_by_one=one_by_one, left_out=beyond)
    return True


def apply_pages(
    cohort: Cohort,
    pages: Iterable[Page],
    places: dict[str, Position],
    *,
    types: Mapping[str, Mapping[str, str]] | None = None,
    using: str,
    one_by_one: bool,
    left_out: Collection[int] = (),
) -> None:
    """Apply pages to replicas, and call their handlers once all tables are as the pages leave them."""
    try:
        laid = staged.lay(pages, replicas=cohort.replicas, left_out=left_out, using=using)
    except Exception as error:
        if is_away(error):
            raise
        raise staged.Unreadable(cohort.replicas[0].name, first_line(error)) from error
    for replica in cohort.replicas:
        if found := laid.get(replica.source):
            known = (types or {}).get(replica.name)
            apply_to(replica, places[replica.name].absent, laid=found, types=known, using=using, one_by_one=one_by_one)
    if laid:
        handlers.call(cohort.replicas, pages, left_out=left_out)


def apply_to(
    replica: Follows,
    known_absent: Collection[str],
    *,
    laid: staged.Laid | None = None,
    types: Mapping[str, str] | None = None,
    using: str,
    one_by_one: bool = False,
) -> frozenset[str]:
    """Apply what is laid out to one replica, and see whether its source has other columns than it had.

    A column that had been missing and is there now is in all the source's rows: they are to be copied again, as where
    rows may have changed without changes. Returned are the columns that are missing.
    """
    if not isinstance(replica, declaration.Replica):
        return frozenset()
    try:
        has = staged.apply(replica, laid=laid, types=types, using=using, one_by_one=one_by_one)
    except Exception as error:
        if isinstance(error, IntegrityError | exceptions.ReplicaFailed) or is_away(error):
            raise
        reason = first_line(error).removeprefix(f"{replica.name}: ")
        raise exceptions.ReplicaFailed(replica.name, reason) from error
    absent = frozenset(known_absent) | has.absent
    if absent & has.present or has.uncaptured:
        positions.copy_again([replica], using)
    if absent != known_absent:
        positions.note_absent(replica, absent, using)
    return absent
