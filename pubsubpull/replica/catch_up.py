"""Catching up: replicas at several cursors come to one in one transaction, so that rows may refer to each other."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from pubsubpull.replica import cohorts, positions, staging
from pubsubpull.replica.errors import constraint_errors
from pubsubpull.replica.pages import Spool, up_to_now
from pubsubpull.replica.parking import store
from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from pubsubpull.replica.cohorts import Cohort
    from pubsubpull.replica.pages import Page
    from pubsubpull.replica.positions import Position


@dataclasses.dataclass(frozen=True, kw_only=True)
class Laggard:
    """A cohort at another cursor than the leaders."""

    cohort: Cohort
    """The replicas."""
    start: str
    """The cursor from which the cohort continues."""
    first: Callable[[], object] | None = None
    """Applies a copy before the changes; None for a cohort that follows already."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pulled:
    """A laggard, with the pages that bring it to the leaders' cursor."""

    laggard: Laggard
    """The laggard."""
    pages: Spool
    """The pages from the laggard's cursor to the leaders' last page or beyond."""
    beyond: Collection[int]
    """The versions of changes in `pages` that come after the leaders' last page."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gathered:
    """All pages that bring several cohorts to one cursor."""

    leaders: Cohort
    """The cohort that the others join."""
    pages: Spool
    """The leaders' pages. All cohorts meet at the cursor after the last page."""
    laggards: Sequence[Pulled]
    """The other cohorts."""


@contextlib.contextmanager
def gather(leaders: Cohort, laggards: Sequence[Laggard], pull: Callable[[list[str], str], Page]) -> Iterator[Gathered]:
    """Pull the pages that bring cohorts to one cursor; delete them when the context ends.

    `pull` returns the page of some models after a cursor.
    """

    def pulled(cohort: Cohort, after: str) -> Iterator[Page]:
        return up_to_now(functools.partial(pull, cohort.sources), after)

    with contextlib.ExitStack() as spools:

        def spooled(cohort: Cohort, after: str) -> Spool:
            spool = spools.enter_context(contextlib.closing(Spool()))
            for page in pulled(cohort, after):
                spool.add(page)
            return spool

        # The order matters. Pull the leaders' pages first, so that the laggards' pages reach at least as far. Pull
        # the changes beyond the leaders' last page last, so that they include all further changes of the laggards.
        pages = spooled(leaders, leaders.cursor)
        others: list[Pulled] = []
        for laggard in laggards:
            own = spooled(laggard.cohort, laggard.start)
            beyond = {version for page in pulled(laggard.cohort, pages.cursor) for version in _versions(page)}
            others.append(Pulled(laggard=laggard, pages=own, beyond=beyond))
        yield Gathered(leaders=leaders, pages=pages, laggards=others)


def _versions(page: Page) -> list[int]:
    return [item["version"] for item in jsontext.loads(page.body)["items"]]


def catch_up_together(gathered: Gathered, *, using: str) -> bool:
    """Bring cohorts to one cursor in one transaction; return False if one of them has moved meanwhile.

    Each change is applied once, and handlers are called once for it. Raises `ReplicaFailed`.
    """
    one_by_one = False
    while True:
        try:
            return _apply(gathered, one_by_one=one_by_one, using=using)
        except IntegrityError as error:
            if one_by_one or getattr(error.__cause__, "sqlstate", None) != constraint_errors.UNIQUE:
                late = [effect for pulled in gathered.laggards for effect in pulled.laggard.cohort.members]
                raise constraint_errors.failure([*late, *gathered.leaders.members], error, using=using) from error
            one_by_one = True  # A unique value may have moved from row to row within the pages.
        except staging.Unreadable as error:
            cohort, pages = _pages_of(gathered, error.name)
            raise constraint_errors.unreadable_change(cohort.members, pages, error, using=using) from error


def _pages_of(gathered: Gathered, name: str) -> tuple[Cohort, Spool]:
    """Return the cohort that has the replica `name`, with its pages."""
    for pulled in gathered.laggards:
        if name in {effect.name for effect in pulled.laggard.cohort.members}:
            return pulled.laggard.cohort, pulled.pages
    return gathered.leaders, gathered.pages


def _apply(gathered: Gathered, *, one_by_one: bool, using: str) -> bool:
    leaders, end = gathered.leaders, gathered.pages.cursor
    laggards = [pulled.laggard for pulled in gathered.laggards]
    with transaction.atomic(using):
        locked = positions.lock(leaders.service, using)
        if not _are_current(leaders, laggards, locked):
            return False
        # Move before any change is applied: a change may require a new copy of all rows, and moving would undo that.
        for laggard in laggards:
            if laggard.first:
                laggard.first()
            positions.move(laggard.cohort.members, end, using=using)
        positions.move(leaders.members, end, using=using)
        own = Pulled(laggard=Laggard(cohort=leaders, start=leaders.cursor), pages=gathered.pages, beyond=())
        for pulled in (own, *gathered.laggards):
            cohort = pulled.laggard.cohort
            staging.begin(using)  # The stage still has the pages of the cohort before.
            # Changes beyond the meeting point are left out: all cohorts get them from their next page, once.
            left_out = [*pulled.beyond, *store.hold(cohort, pulled.pages, using=using)]
            staging.stage_and_apply(
                pulled.pages, cohort.effects, locked, one_by_one=one_by_one, left_out=left_out, using=using
            )
    return True


# The leaders follow already. A laggard with a copy to apply must still be waiting for it.
def _are_current(leaders: Cohort, laggards: Sequence[Laggard], locked: dict[str, Position]) -> bool:
    return cohorts.is_current(leaders, locked) and all(
        cohorts.is_current(laggard.cohort, locked, follows=laggard.first is None) for laggard in laggards
    )
