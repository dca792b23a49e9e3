"""Copying all rows: fetched by key ranges and kept apart, then applied at once, with the changes since.

Nobody sees half a copy: until the one transaction that applies it, a replica has the rows that it had before. Fetched
pages are kept, so that a process that was killed goes on where it was. Two processes that copy at once do no harm: a
page is kept only by the process that moves its range on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from django.core.exceptions import ObjectDoesNotExist
from django.db import IntegrityError, connections, transaction
from django.db.models import F, Sum

from pubsubpull import exceptions
from pubsubpull.capture import clock
from pubsubpull.replica import catch_up, cohorts, pages, positions
from pubsubpull.replica.copy import apply
from pubsubpull.replica.errors import constraint_errors
from pubsubpull.replica.models import Copy, CopyPage, CopyRange
from pubsubpull.replica.sizes import STANDARD_SIZES, Sizes

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable, Iterator

    from pubsubpull.pull.client import Client
    from pubsubpull.replica.cohorts import Cohort

RANGES = 4
"""How many ranges each worker has on average, so that none has a long one left at the end."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a copy has got."""

    rows: int
    """How many rows have been fetched."""
    expected: int
    """About how many rows there are."""
    applying: bool = False
    """True once all are fetched, and are being applied."""


class Stopped(Exception):
    """The copy was told to stop; what it has fetched is kept."""


def copy(
    cohort: Cohort,
    make_client: Callable[[], Client],
    *,
    workers: int = 2,
    sizes: Sizes = STANDARD_SIZES,
    using: str,
    progress: Callable[[Progress], None] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Copy all rows of the cohort's sources, and let it follow from there. Raises what the client does."""
    # Swallowed: the copy is gone, since another process has applied it.
    with make_client() as client, contextlib.suppress(ObjectDoesNotExist):
        made = _begin(cohort, client, workers=workers, using=using)

        def work(number: int) -> None:
            try:
                with make_client() as own:
                    _fetch_ranges(
                        made,
                        cohort,
                        number=number,
                        workers=workers,
                        client=own,
                        limit=sizes.rows,
                        using=using,
                        progress=progress,
                        stopping=stopping,
                    )
            finally:
                connections[using].close()

        with ThreadPoolExecutor(workers, thread_name_prefix="pubsubpull-copy") as threads:
            for result in [threads.submit(work, number) for number in range(workers)]:
                result.result()
        _fetch_changes(made, client, sizes, using, stopping)
        progress(dataclasses.replace(_progress(made, using), applying=True))
        _apply(made.pk, cohort, client, sizes, using)


def _begin(cohort: Cohort, client: Client, *, workers: int, using: str) -> Copy:
    """Return the copy that was begun of these models, or begin one: its cursor is taken before the first row."""
    service, sources = cohort.service, sorted({effect.source for effect in cohort.members if effect.table})
    begun = Copy.objects.using(using).filter(service=service).first()
    if begun and (begun.sources, begun.began) == (sources, cohort.cursor):
        return begun
    # Replicas that have followed already tell their handlers of the changes since; others begin now.
    cursor = cohort.cursor or pages.changes(client, cohort.sources, "now", limit=1).cursor
    ranges = [each for source in sources for each in _ranges(client, source, workers * RANGES)]
    made = Copy(service=service, sources=sources, began=cohort.cursor, followed=cohort.sources, cursor=cursor)
    try:
        with transaction.atomic(using):
            Copy.objects.using(using).filter(service=service).delete()
            made.save(using=using, force_insert=True)
            for each in ranges:
                each.copy = made
            CopyRange.objects.using(using).bulk_create(ranges)
    except IntegrityError:  # swallowed: another process began it at the same moment
        return Copy.objects.using(using).get(service=service)
    return made


def _ranges(client: Client, source: str, parts: int) -> list[CopyRange]:
    answer = client.get(f"models/{source}/ranges/", params={"parts": parts})
    bounds = [None, *answer["keys"], None]
    expected = answer["rows"] // (len(bounds) - 1)
    return [
        CopyRange(source=source, at=begin, until=end, expected=expected) for begin, end in itertools.pairwise(bounds)
    ]


def _fetch_ranges(
    made: Copy,
    cohort: Cohort,
    *,
    number: int,
    workers: int,
    client: Client,
    limit: int | None,
    using: str,
    progress: Callable[[Progress], None],
    stopping: Callable[[], bool],
) -> None:
    """Fetch to its end each range that is this worker's: every `workers`th, from `number` on."""
    for current in list(CopyRange.objects.using(using).filter(copy=made).order_by("id"))[number::workers]:
        while not current.done:
            if stopping():
                raise Stopped
            with _naming(cohort, current.source):
                page = pages.rows(
                    client, current.source, at=current.at, until=current.until, cursor=made.cursor, limit=limit
                )
            _keep(current, page, using)
            current.refresh_from_db(using=using)
            progress(_progress(made, using))


@contextlib.contextmanager
def _naming(cohort: Cohort, source: str) -> Iterator[None]:
    """Let a row that its own service cannot read be the failure of its replica alone: the others are copied."""
    try:
        yield
    except exceptions.RequestRefused as error:
        if not str(error.problem.get("type")).endswith(":unreadable"):
            raise
        name = next(effect.name for effect in cohort.members if effect.table and effect.source == source)
        raise exceptions.ReplicaFailed(name, f"{cohort.service} cannot give a row: {error}") from error


def _keep(current: CopyRange, page: pages.Rows, using: str) -> None:
    """Keep a page, if its range is still before it."""
    begin = {"at": current.at} if current.at is not None else {"at__isnull": True}
    with transaction.atomic(using):
        # Compared and moved in one statement: of two processes that fetched the page, one keeps it.
        moved = (
            CopyRange.objects.using(using)
            .filter(pk=current.pk, done=False, **begin)
            .update(at=page.last, done=page.last is None, rows=F("rows") + page.count)
        )
        if moved:
            CopyPage.objects.using(using).create(copy_id=current.copy_id, source=current.source, body=page.body)


def _progress(made: Copy, using: str) -> Progress:
    sums = CopyRange.objects.using(using).filter(copy=made).aggregate(rows=Sum("rows"), expected=Sum("expected"))
    return Progress(rows=sums["rows"] or 0, expected=sums["expected"] or 0)


def _fetch_changes(made: Copy, client: Client, sizes: Sizes, using: str, stopping: Callable[[], bool]) -> None:
    """Fetch the changes up to a moment after the last row was fetched: there the copy is whole, and stays as it is."""
    while not made.whole:
        for page in pages.up_to_now(
            functools.partial(pages.changes, client, made.followed, limit=sizes.page), made.cursor
        ):
            if stopping():
                raise Stopped
            if not _keep_changes(made, page, using):
                break
        else:
            Copy.objects.using(using).filter(pk=made.pk, cursor=made.cursor).update(whole=True)
        made.refresh_from_db(using=using)


def _keep_changes(made: Copy, page: pages.Page, using: str) -> bool:
    """Keep a page, if the copy is still before it and not whole."""
    with transaction.atomic(using):
        mine = Copy.objects.using(using).filter(pk=made.pk, cursor=made.cursor, whole=False).update(cursor=page.cursor)
        if mine and not page.empty:
            CopyPage.objects.using(using).create(copy=made, body=page.body)
    made.cursor = page.cursor
    return bool(mine)


def _apply(number: uuid.UUID, cohort: Cohort, client: Client, sizes: Sizes, using: str) -> None:
    """Apply a whole copy, once.

    If that fails, the copy is forgotten: the row that failed may have changed at the source by now. Raises
    `Copy.DoesNotExist` if another process has applied it.
    """
    try:
        _join(number, cohort, client, sizes, using)
    except exceptions.ReplicaFailed as error:
        if error.name not in {effect.name for effect in cohort.members}:
            raise  # a replica that it was to join: the copy can go on without that
        Copy.objects.using(using).filter(pk=number).delete()
        raise


def _join(number: uuid.UUID, cohort: Cohort, client: Client, sizes: Sizes, using: str) -> None:
    """Apply a whole copy in one transaction, in which its replicas join those that follow already."""
    first = functools.partial(_apply_whole, number, cohort, using)
    pull = functools.partial(pages.changes, client, limit=sizes.page)
    copied = [effect.name for effect in cohort.members]
    while True:
        made = Copy.objects.using(using).get(pk=number)
        following = cohorts.snapshot(cohort.service, using, clock.moment(using)).to_join(copied)
        if not following:
            _apply_alone(cohort, first, using)
            return
        others = [catch_up.Laggard(cohort=late, start=late.cursor) for late in following[1:]]
        own = catch_up.Laggard(cohort=cohort, start=made.cursor, first=first)
        with catch_up.gather(following[0], [*others, own], pull) as gathered:
            if catch_up.catch_up_together(gathered, using=using):
                return
        wanted = cohorts.snapshot(cohort.service, using, clock.moment(using)).to_copy()
        if wanted is None or wanted.cursor != cohort.cursor:
            return  # it is copied from another cursor now


def _apply_alone(cohort: Cohort, first: Callable[[], object], using: str) -> None:
    try:
        with transaction.atomic(using):
            positions.lock(cohort.service, using)  # before the copy, as all that apply take them
            first()
    except IntegrityError as error:
        raise constraint_errors.failure(cohort.members, error, using=using) from error


def _apply_whole(number: uuid.UUID, cohort: Cohort, using: str) -> None:
    # Locked: of two processes that have fetched it, the second finds it gone.
    made = Copy.objects.using(using).select_for_update().get(pk=number)
    apply.apply_all(made, cohort, using)
    CopyPage.objects.using(using).filter(copy=made).delete()
    made.delete(using=using)
