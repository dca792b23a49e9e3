"""Copying all rows: fetched by key ranges and kept apart, then applied at once, with the changes since.

Nobody sees half a copy: until the one transaction that applies it, a replica has the rows that it had before. What has
been fetched is kept, so that whoever is killed goes on where it was. Two that copy at once do no harm: each page is
kept only by whoever moves its range on.
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
from pubsubpull.replica import advance, cohorts, constraint_errors, pages, positions
from pubsubpull.replica.copy import apply
from pubsubpull.replica.models import Copy, CopyPage, CopyRange

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable, Collection

    from pubsubpull.pull.client import Client
    from pubsubpull.replica.cohorts import Cohort
    from pubsubpull.replica.declaration import Follows

RANGES = 4
"""How many ranges each worker has on average, so that none is left with a long one at the end."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """How many rows have been fetched, and about how many there are."""

    rows: int
    expected: int
    applying: bool = False


class Stopped(Exception):
    """The copy was told to stop; what it has fetched is kept."""


def copy(
    cohort: Cohort,
    make_client: Callable[[], Client],
    *,
    workers: int = 2,
    using: str,
    progress: Callable[[Progress], None] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Copy all rows of the replicas' sources, and let the replicas follow from there. Raises what the client does."""
    with make_client() as client, contextlib.suppress(ObjectDoesNotExist):  # another has applied it
        made = _begin(cohort, client, workers=workers, using=using)

        def one(number: int) -> None:
            try:
                with make_client() as mine:
                    _fetch_ranges(
                        made,
                        number=number,
                        workers=workers,
                        client=mine,
                        using=using,
                        progress=progress,
                        stopping=stopping,
                    )
            finally:
                connections[using].close()

        with ThreadPoolExecutor(workers, thread_name_prefix="pubsubpull-copy") as threads:
            for result in [threads.submit(one, number) for number in range(workers)]:
                result.result()
        _fetch_changes(made, client, using, stopping)
        progress(dataclasses.replace(_progress(made, using), applying=True))
        _apply(made.pk, cohort, client, using)


def _begin(cohort: Cohort, client: Client, *, workers: int, using: str) -> Copy:
    """Return the copy that was begun of these models, or begin one: its cursor is taken before the first row."""
    service, sources = cohort.service, sorted({replica.source for replica in apply.tables(cohort.replicas)})
    found = Copy.objects.using(using).filter(service=service).first()
    if found and (found.sources, found.began) == (sources, cohort.cursor):
        return found
    # Where the replicas stood already, their handlers are to be told of the changes since; else it begins now.
    cursor = cohort.cursor or pages.changes(client, cohort.sources, "now", limit=1).cursor
    ranges = [one for source in sources for one in _ranges(client, source, workers * RANGES)]
    made = Copy(service=service, sources=sources, began=cohort.cursor, followed=cohort.sources, cursor=cursor)
    try:
        with transaction.atomic(using):
            Copy.objects.using(using).filter(service=service).delete()
            made.save(using=using, force_insert=True)
            for one in ranges:
                one.copy = made
            CopyRange.objects.using(using).bulk_create(ranges)
    except IntegrityError:  # another began it at the same moment
        return Copy.objects.using(using).get(service=service)
    return made


def _ranges(client: Client, source: str, parts: int) -> list[CopyRange]:
    found = client.get(f"models/{source}/ranges/", params={"parts": parts})
    bounds = [None, *found["keys"], None]
    expected = found["rows"] // (len(bounds) - 1)
    return [
        CopyRange(source=source, at=begin, until=end, expected=expected) for begin, end in itertools.pairwise(bounds)
    ]


def _fetch_ranges(
    made: Copy,
    *,
    number: int,
    workers: int,
    client: Client,
    using: str,
    progress: Callable[[Progress], None],
    stopping: Callable[[], bool],
) -> None:
    """Fetch every so-manieth range to its end."""
    for found in list(CopyRange.objects.using(using).filter(copy=made).order_by("id"))[number::workers]:
        current = found
        while not current.done:
            if stopping():
                raise Stopped
            page = pages.rows(client, current.source, at=current.at, until=current.until, cursor=made.cursor)
            _keep(current, page, using)
            current = CopyRange.objects.using(using).get(pk=current.pk)
            progress(_progress(made, using))


def _keep(found: CopyRange, page: pages.Rows, using: str) -> None:
    """Keep a page, if the range still stands before it."""
    with transaction.atomic(using):
        moved = (
            CopyRange.objects.using(using)
            .filter(pk=found.pk, done=False, **({"at": found.at} if found.at is not None else {"at__isnull": True}))
            .update(at=page.last, done=page.last is None, rows=F("rows") + page.count)
        )
        if moved:
            CopyPage.objects.using(using).create(copy_id=found.copy_id, source=found.source, body=page.body)


def _progress(made: Copy, using: str) -> Progress:
    found = CopyRange.objects.using(using).filter(copy=made).aggregate(rows=Sum("rows"), expected=Sum("expected"))
    return Progress(rows=found["rows"] or 0, expected=found["expected"] or 0)


def _fetch_changes(made: Copy, client: Client, using: str, stopping: Callable[[], bool]) -> None:
    """Fetch the changes up to a moment after the last row was fetched: there the copy is whole, and stays as it is."""
    while not made.whole:
        for page in pages.up_to_now(functools.partial(pages.changes, client, made.followed), made.cursor):
            if stopping():
                raise Stopped
            if not _keep_changes(made, page, using):
                break
        else:
            Copy.objects.using(using).filter(pk=made.pk, cursor=made.cursor).update(whole=True)
        made.refresh_from_db(using=using)


def _keep_changes(made: Copy, page: pages.Page, using: str) -> bool:
    """Keep a page, if the copy still stands before it and is not whole."""
    with transaction.atomic(using):
        mine = Copy.objects.using(using).filter(pk=made.pk, cursor=made.cursor, whole=False).update(cursor=page.cursor)
        if mine and not page.empty:
            CopyPage.objects.using(using).create(copy=made, body=page.body)
    made.cursor = page.cursor
    return bool(mine)


def _apply(number: uuid.UUID, cohort: Cohort, client: Client, using: str) -> None:
    """Apply a whole copy, once; if that fails it is forgotten, since what failed may be otherwise at the source by now.

    Raises `Copy.DoesNotExist` where another has applied it.
    """
    try:
        _meet(number, cohort, client, using)
    except exceptions.ReplicaFailed as error:
        if error.name not in {replica.name for replica in cohort.replicas}:
            raise  # one of those that it met with: the copy can go on without
        Copy.objects.using(using).filter(pk=number).delete()
        raise


def _meet(number: uuid.UUID, cohort: Cohort, client: Client, using: str) -> None:
    """Apply a whole copy in one transaction, in which its replicas meet with those that follow already."""
    first = functools.partial(_apply_whole, number, cohort.replicas, using)
    pull = functools.partial(pages.changes, client)
    copied = [replica.name for replica in cohort.replicas]
    while True:
        made = Copy.objects.using(using).get(pk=number)
        following = cohorts.snapshot(cohort.service, using, clock.moment(using)).to_join(copied)
        if not following:
            _apply_alone(cohort, first, using)
            return
        others = [advance.Late(cohort=late, start=late.cursor) for late in following[1:]]
        mine = advance.Late(cohort=cohort, start=made.cursor, first=first)
        with advance.meeting(following[0], [*others, mine], pull) as meeting:
            if advance.join(meeting, using=using):
                return
        wanted = cohorts.snapshot(cohort.service, using, clock.moment(using)).to_copy()
        if wanted is None or wanted.cursor != cohort.cursor:
            return  # it is copied from elsewhere now


def _apply_alone(cohort: Cohort, first: Callable[[], object], using: str) -> None:
    try:
        with transaction.atomic(using):
            positions.lock(cohort.service, using)
            first()
    except IntegrityError as error:
        raise constraint_errors.failure(cohort.replicas, error, using=using) from error


def _apply_whole(number: uuid.UUID, replicas: Collection[Follows], using: str) -> None:
    made = Copy.objects.using(using).select_for_update().get(pk=number)
    apply.apply_all(made, replicas, using)
    CopyPage.objects.using(using).filter(copy=made).delete()
    made.delete(using=using)
