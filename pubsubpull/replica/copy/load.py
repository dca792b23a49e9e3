"""Load a dump: a file replaces the copy over the network, and the replica follows from the file's cursor."""

from __future__ import annotations

import dataclasses
import gzip
import itertools
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

from django.db import IntegrityError, transaction

from pubsubpull import exceptions
from pubsubpull.replica import cohorts, positions
from pubsubpull.replica.copy import apply
from pubsubpull.replica.errors import constraint_errors
from pubsubpull.replica.models import Copy, CopyPage, ReplicaState
from pubsubpull.wire import dumps, pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pubsubpull.replica.effects import Effect

ROWS_A_PAGE = 1000
"""The number of rows that are stored together. A resumed load counts these pages, so it must stay the same."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loaded:
    """The result of a load."""

    model: str
    """The source's label."""
    rows: int
    """The number of rows in the dump."""
    replicas: tuple[str, ...]
    """The names of the replicas that took the rows."""


def load(file: BinaryIO, *, service: str | None = None, again: bool = False, using: str) -> Loaded:
    """Load a dump into all replicas of its model, in one transaction, and let them follow from its cursor.

    Rows that were read are stored, so that a load of the same file resumes after a crash. With `again`, the dump also
    replaces the rows of replicas that follow already; they then apply all changes since the dump again. `service` is
    needed if replicas of several services follow the model. Raises `DumpError` and `ReplicaError`.
    """
    lines = _lines(file)
    head = dumps.read_head(next(lines, ""))
    members = _tables(head["model"], service)
    names = [effect.name for effect in members]
    cohort = cohorts.Cohort(service=members[0].service, cursor="", members=tuple(members))
    cohorts.enter(cohort.service, using)
    following = ReplicaState.objects.using(using).filter(name__in=names).exclude(cursor="")
    # A dump may be older than the cursor: without --again, loading would take rows back in time.
    if not again and (ahead := sorted(following.values_list("name", flat=True))):
        raise exceptions.ReplicaError(f"{', '.join(ahead)} follows already; --again resets it to the rows of the dump.")
    record = _begin(head, using)
    rows = _keep(record, lines, using)
    try:
        with transaction.atomic(using):
            positions.lock(cohort.service, using)  # First, as in all transactions that apply: no deadlock.
            apply.apply_all(record, cohort, using)
            record.delete(using=using)
    except IntegrityError as error:
        raise constraint_errors.failure(members, error, using=using) from error
    return Loaded(model=head["model"], rows=rows, replicas=tuple(names))


def _tables(model: str, service: str | None) -> list[Effect]:
    tables = [
        effect
        for name in cohorts.services()
        for effect in cohorts.of_service(name)
        if effect.table and effect.source == model and service in {None, name}
    ]
    if not tables:
        raise exceptions.ReplicaError(f"The dump is of {model}, which has no replica here.")
    if len(names := {effect.service for effect in tables}) > 1:
        raise exceptions.ReplicaError(
            f"Replicas of {model} follow {', '.join(sorted(names))}: name one service with --service."
        )
    return tables


def _begin(head: dict[str, Any], using: str) -> Copy:
    """Return the unfinished copy of this file, or a new one."""
    # Its service has a name of its own, so that no follower takes it for a copy over the network.
    known = {"sources": [head["model"]], "followed": [], "began": "dump", "cursor": head["cursor"]}
    name = f"dump of {head['model']}"
    begun = Copy.objects.using(using).filter(service=name).first()
    if begun and begun.cursor == head["cursor"]:
        return begun
    with transaction.atomic(using):
        Copy.objects.using(using).filter(service=name).delete()
        return Copy.objects.using(using).create(service=name, **known)


def _keep(record: Copy, lines: Iterator[str], using: str) -> int:
    """Store all rows that are not stored already; return the number of all rows. Raises `DumpError`."""
    known = CopyPage.objects.using(using).filter(copy=record).count()
    count = number = 0
    end: int | None = None
    while end is None:
        some = list(itertools.islice(lines, ROWS_A_PAGE))
        end = dumps.read_end(some[-1]) if some else None
        rows = some if end is None else some[:-1]
        count, number = count + len(rows), number + 1
        _check(rows, whole=end is not None or len(some) == ROWS_A_PAGE, count=count)
        if number > known and rows:
            body = pages.write_items(rows)
            CopyPage.objects.using(using).create(copy=record, source=record.sources[0], body=body)
    if end != count or next(lines, None) is not None:
        raise exceptions.DumpError(f"This dump ends with a count of {end:,} rows, which is not the number of its rows.")
    return count


def _check(rows: list[str], *, whole: bool, count: int) -> None:
    if strange := next((line for line in rows if not dumps.is_row(line)), None):
        raise exceptions.DumpError(f"A line of the file is not a row of a dump: {strange[:80]}")
    if not whole:
        raise exceptions.DumpError(f"This dump was cut off after {count:,} rows: make it again, or resume it.")


def _lines(file: BinaryIO) -> Iterator[str]:
    """Yield the lines of a compressed file, without line ends. Raises `DumpError` for a damaged file."""
    try:
        with gzip.open(file, "rt", encoding="utf-8", newline="\n") as text:
            for line in text:
                yield line.rstrip("\n")
    except EOFError as error:
        raise exceptions.DumpError("This dump was cut off: make it again, or resume it.") from error
    except (gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
        raise exceptions.DumpError(f"This file is not a dump, or is damaged: {error}.") from error
