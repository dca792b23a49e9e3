"""Loading a dump: a file brings what a replica would copy over the network, and it follows from the file's cursor."""

from __future__ import annotations

import dataclasses
import gzip
import itertools
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

from django.db import IntegrityError, transaction

from pubsubpull import exceptions
from pubsubpull.replica import cohorts, constraint_errors, positions
from pubsubpull.replica.copy import apply
from pubsubpull.replica.models import Copy, CopyPage, ReplicaState
from pubsubpull.wire import dumps, pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pubsubpull.replica.declaration import Replica

PAGE = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loaded:
    """What was loaded, into which replicas."""

    model: str
    rows: int
    replicas: tuple[str, ...]


def load(file: BinaryIO, *, service: str | None = None, again: bool = False, using: str) -> Loaded:
    """Load a dump into all replicas of its model, in one transaction, and let them follow from its cursor.

    What was read is kept: whoever is killed goes on there with the same file. `again` loads it also into replicas that
    follow already, which then get all changes since the dump again. Raises `DumpError` and `ReplicaError`.
    """
    lines = _lines(file)
    head = dumps.read_head(next(lines, ""))
    replicas = _replicas(head["model"], service)
    cohorts.enter(replicas[0].service, using)
    following = ReplicaState.objects.using(using).filter(name__in=[r.name for r in replicas]).exclude(cursor="")
    if not again and (names := sorted(following.values_list("name", flat=True))):
        raise exceptions.ReplicaError(f"{', '.join(names)} follows already; --again sets it back to the dump's state.")
    made = _begin(head, using)
    rows = _keep(made, lines, using)
    try:
        with transaction.atomic(using):
            positions.lock(replicas[0].service, using)
            apply.apply_all(made, replicas, using)
            made.delete(using=using)
    except IntegrityError as error:
        raise constraint_errors.failure(replicas, error, using=using) from error
    return Loaded(model=head["model"], rows=rows, replicas=tuple(one.name for one in replicas))


def _replicas(model: str, service: str | None) -> list[Replica]:
    found = [
        one for name in cohorts.services() for one in apply.tables(cohorts.of_service(name)) if one.source == model
    ]
    found = [one for one in found if service in {None, one.service}]
    if not found:
        raise exceptions.ReplicaError(f"The dump is of {model}, of which there is no replica here.")
    if len(names := {one.service for one in found}) > 1:
        raise exceptions.ReplicaError(
            f"Replicas of {model} are of {', '.join(sorted(names))}: name one with --service."
        )
    return found


def _begin(head: dict[str, Any], using: str) -> Copy:
    """Return the copy that was begun of this very file, or begin one; no follower knows it."""
    known = {"sources": [head["model"]], "followed": [], "began": "dump", "cursor": head["cursor"]}
    name = f"dump of {head['model']}"
    found = Copy.objects.using(using).filter(service=name).first()
    if found and found.cursor == head["cursor"]:
        return found
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
