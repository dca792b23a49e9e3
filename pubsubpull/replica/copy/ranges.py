"""Copy all rows: fetch them by key ranges, store the pages, and apply all of them in one transaction.

Until that transaction commits, a replica has its old rows, so no reader sees half a copy. Fetched pages are stored, so
that a killed process resumes. Two processes may copy at once: only the process that moves a range on stores the page.
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
from pubsubpull.replica import pages
from pubsubpull.replica.copy import join
from pubsubpull.replica.models import Copy, CopyPage, CopyRange
from pubsubpull.replica.sizes import STANDARD_SIZES, Sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pubsubpull.pull.client import Client
    from pubsubpull.replica.cohorts import Cohort

RANGES = 4
"""The average number of ranges for each worker. Several small ranges let all workers end at about the same time."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of a copy."""

    rows: int
    """The number of rows fetched so far."""
    expected: int
    """The estimated number of all rows."""
    applying: bool = False
    """True once all rows are fetched, while they are applied."""


class Stopped(Exception):
    """The copy was told to stop; the pages fetched so far stay stored."""


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
    """Copy all rows of the cohort's sources, and let the cohort follow from the copy's cursor.

    Each of the `workers` threads has a client of its own. Raises `Stopped`, `ReplicaFailed` and the client's errors.
    """
    with make_client() as client, contextlib.suppress(ObjectDoesNotExist):  # another process has applied the copy
        record = _begin(cohort, client, workers=workers, using=using)

        def work(number: int) -> None:
            try:
                with make_client() as own:
                    _fetch_ranges(
                        record,
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
                connections[using].close()  # This connection belongs to the thread, which ends here.

        with ThreadPoolExecutor(workers, thread_name_prefix="pubsubpull-copy") as threads:
            for result in [threads.submit(work, number) for number in range(workers)]:
                result.result()
        _fetch_changes(record, client, sizes, using, stopping)
        progress(dataclasses.replace(_progress(record, using), applying=True))
        join.apply_copy(record.pk, cohort, client, sizes, using)


def _begin(cohort: Cohort, client: Client, *, workers: int, using: str) -> Copy:
    """Return the unfinished copy of the cohort's models, or a new one."""
    service, sources = cohort.service, sorted({effect.source for effect in cohort.members if effect.table})
    begun = Copy.objects.using(using).filter(service=service).first()
    if begun and (begun.sources, begun.began) == (sources, cohort.cursor):
        return begun
    # The cursor is taken before the first row: all changes during the copy come after it. Replicas that followed
    # already continue from their own cursor, so that their handlers miss no change.
    cursor = cohort.cursor or pages.changes(client, cohort.sources, "now", limit=1).cursor
    ranges = [each for source in sources for each in _ranges(client, source, workers * RANGES)]
    record = Copy(service=service, sources=sources, began=cohort.cursor, followed=cohort.sources, cursor=cursor)
    try:
        with transaction.atomic(using):
            Copy.objects.using(using).filter(service=service).delete()
            record.save(using=using, force_insert=True)
            for each in ranges:
                each.copy = record
            CopyRange.objects.using(using).bulk_create(ranges)
    except IntegrityError:  # Swallowed: another process began the same copy at the same moment.
        return Copy.objects.using(using).get(service=service)
    return record


def _ranges(client: Client, source: str, parts: int) -> list[CopyRange]:
    answer = client.get(f"models/{source}/ranges/", params={"parts": parts})
    bounds = [None, *answer["keys"], None]
    expected = answer["rows"] // (len(bounds) - 1)
    return [
        CopyRange(source=source, at=begin, until=end, expected=expected) for begin, end in itertools.pairwise(bounds)
    ]


def _fetch_ranges(
    record: Copy,
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
    """Fetch all ranges of one worker: every `workers`-th range, starting with `number`."""
    for current in list(CopyRange.objects.using(using).filter(copy=record).order_by("id"))[number::workers]:
        while not current.done:
            if stopping():
                raise Stopped
            with _naming(cohort, current.source):
                page = pages.rows(
                    client, current.source, at=current.at, until=current.until, cursor=record.cursor, limit=limit
                )
            _keep(current, page, using)
            current.refresh_from_db(using=using)
            progress(_progress(record, using))


@contextlib.contextmanager
def _naming(cohort: Cohort, source: str) -> Iterator[None]:
    """Raise `ReplicaFailed` for a row that the source cannot read: only its replica fails, not the others."""
    try:
        yield
    except exceptions.RequestRefused as error:
        if not str(error.problem.get("type")).endswith(":unreadable"):
            raise
        name = next(effect.name for effect in cohort.members if effect.table and effect.source == source)
        raise exceptions.ReplicaFailed(name, f"{cohort.service} cannot give a row: {error}") from error


def _keep(current: CopyRange, page: pages.Rows, using: str) -> None:
    """Store a page if its range is still at the key before the page."""
    begin = {"at": current.at} if current.at is not None else {"at__isnull": True}
    with transaction.atomic(using):
        # Compare and move in one statement: if two processes fetched the same page, only one of them stores it.
        moved = (
            CopyRange.objects.using(using)
            .filter(pk=current.pk, done=False, **begin)
            .update(at=page.last, done=page.last is None, rows=F("rows") + page.count)
        )
        if moved:
            CopyPage.objects.using(using).create(copy_id=current.copy_id, source=current.source, body=page.body)


def _progress(record: Copy, using: str) -> Progress:
    sums = CopyRange.objects.using(using).filter(copy=record).aggregate(rows=Sum("rows"), expected=Sum("expected"))
    return Progress(rows=sums["rows"] or 0, expected=sums["expected"] or 0)


def _fetch_changes(record: Copy, client: Client, sizes: Sizes, using: str, stopping: Callable[[], bool]) -> None:
    """Fetch the changes up to a moment after the last row was fetched, and mark the copy as whole."""
    # Rows were read at different moments. Only with all changes up to the end are they one state of the source.
    while not record.whole:
        for page in pages.up_to_now(
            functools.partial(pages.changes, client, record.followed, limit=sizes.page), record.cursor
        ):
            if stopping():
                raise Stopped
            if not _keep_changes(record, page, using):
                break
        else:
            Copy.objects.using(using).filter(pk=record.pk, cursor=record.cursor).update(whole=True)
        record.refresh_from_db(using=using)


def _keep_changes(record: Copy, page: pages.Page, using: str) -> bool:
    """Store a page of changes if the copy is still at the cursor before it, and not whole; return True if it was."""
    with transaction.atomic(using):
        mine = (
            Copy.objects.using(using).filter(pk=record.pk, cursor=record.cursor, whole=False).update(cursor=page.cursor)
        )
        if mine and not page.empty:
            CopyPage.objects.using(using).create(copy=record, body=page.body)
    record.cursor = page.cursor
    return bool(mine)
