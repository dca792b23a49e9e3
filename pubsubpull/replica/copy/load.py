"""Loading a dump: a file brings what a replica would copy over the network, and it follows from the file's cursor."""

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

PAGE = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loaded:
    """What was loaded."""

    model: str
    """The source's label."""
    rows: int
    """How many rows the dump has."""
    replicas: tuple[str, ...]
    """The replicas that it was loaded into."""


def load(file: BinaryIO, *, service: str | None = None, again: bool = False, using: str) -> Loaded:
    """Load a dump into all replicas of its model, in one transaction, and let them follow from its cursor.

    What was read is kept: after a kill, the same file goes on from there. `again` loads it also into replicas that
    follow already, which then get all changes since the dump again. Raises `DumpError` and `ReplicaError`.
    """
    lines = _lines(file)
    head = dumps.read_head(next(lines, ""))
    members = _tables(head["model"], service)
    names = [effect.name for effect in members]
    cohort = cohorts.Cohort(service=members[0].service, cursor="", members=tuple(members))
    cohorts.enter(cohort.service, using)
    following = ReplicaState.objects.using(using).filter(name__in=names).exclude(cursor="")
    if not again and (ahead := sorted(following.values_list("name", flat=True))):
        raise exceptions.ReplicaError(f"{', '.join(ahead)} follows already; --again sets it back to the dump's state.")
    made = _begin(head, using)
    rows = _keep(made, lines, using)
    try:
        with transaction.atomic(using):
            positions.lock(cohort.service, using)  # first, as all that apply take them
            apply.apply_all(made, cohort, using)
            made.delete(using=using)
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
        raise exceptions.ReplicaError(f"The dump is of {model}, of which there is no replica here.")
    if len(names := {effect.service for effect in tables}) > 1:
        raise exceptions.ReplicaError(
            f"Replicas of {model} are of {', '.join(sorted(names))}: name one with --service."
        )
    return tables


def _begin(head: dict[str, Any], using: str) -> Copy:
    """Return the copy that was begun of this very file, or begin one; no follower knows it."""
    known = {"sources": [head["model"]], "followed": [], "began": "dump", "cursor": head["cursor"]}
    name = f"dump of {head['model']}"
    begun = Copy.objects.using(using).filter(service=name).first()
    if begun and begun.cursor == head["cursor"]:
        return begun
    with transaction.atomic(using):
        Copy.objects.using(using).filter(service=name).delete()
        return Copy.objects.using(using).create(service=name, **known)


def _keep(made: Copy, lines: Iterator[str], using: str) -> int:
    """Keep all rows, those that were kept before left out; return how many there are. Raises `DumpError`."""
    known = CopyPage.objects.using(using).filter(copy=made).count()
    count = number = 0
    end: int | None = None
    while end is None:
        some = list(itertools.islice(lines, PAGE))
        end = dumps.read_end(some[-1]) if some else None
        rows = some if end is None else some[:-1]
        count, number = count + len(rows), number + 1
        _check(rows, whole=end is not None or len(some) == PAGE, count=count)
        if number > known and rows:
            body = pages.write_items(rows)
            CopyPage.objects.using(using).create(copy=made, source=made.sources[0], body=body)
    if end != count or next(lines, None) is not None:
        raise exceptions.DumpError(f"This dump says that it has {end:,} rows, and has others.")
    return count


def _check(rows: list[str], *, whole: bool, count: int) -> None:
    if strange := next((line for line in rows if not dumps.is_row(line)), None):
        raise exceptions.DumpError(f"This is no row of a dump: {strange[:80]}")
    if not whole:
        raise exceptions.DumpError(f"This dump was cut off after {count:,} rows: make it again, or resume it.")


def _lines(file: BinaryIO) -> Iterator[str]:
    """Give the lines of a compressed file, without their ends."""
    try:
        with gzip.open(file, "rt", encoding="utf-8", newline="\n") as text:
            for line in text:
                yield line.rstrip("\n")
    except EOFError as error:
        raise exceptions.DumpError("This dump was cut off: make it again, or resume it.") from error
    except (gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
        raise exceptions.DumpError(f"This is no dump, or a damaged one: {error}.") from error
