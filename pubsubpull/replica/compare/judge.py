"""Compare a replica with its source, and repair it, while both go on.

Hashes of key ranges, then of rows, only find suspects: both sides are hashed at different moments. The verdict is
exact. The replica's position is locked, so that it stays at one cursor. The suspects' rows are read at the source, and
after them the changes since that cursor. A suspect without a change is at the source what it was at the cursor, so the
replica must have just that. A suspect with a change is still to come, and is judged again.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import time
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from django.db import IntegrityError, transaction

from pubsubpull import exceptions
from pubsubpull.capture import sql
from pubsubpull.replica import declaration, pages, staging
from pubsubpull.replica.compare import suspects
from pubsubpull.replica.effects import Staged
from pubsubpull.replica.errors import constraint_errors
from pubsubpull.replica.sizes import STANDARD_SIZES, Sizes
from pubsubpull.replica.tables.table import Table
from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pubsubpull.pull.client import Client
    from pubsubpull.replica.declaration import Replica

Kind = Literal["missing", "extra", "different"]
KEYS_LENGTH = 2000
"""How long the keys of one call may be, in a URL; servers take about 4,000 characters."""
ROUNDS = 10
"""How often a row that changes all the time is looked at."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """A row that is not as it must be."""

    key: str
    """The source's key of the row."""
    kind: Kind
    """How it differs."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a comparison."""

    rows: int | None
    """How many rows the source has that concern the replica; None if only a function knows."""
    ranges: int
    """How many key ranges were compared."""
    suspects: int
    """How many rows had other hashes."""
    differences: tuple[Difference, ...]
    """The rows that differ."""
    unsettled: tuple[str, ...] = ()
    """The keys whose changes had not come to the replica when the comparison ended."""
    repaired: bool = False
    """True if the rows that differ were written anew."""
    absent: tuple[str, ...] = ()
    """Columns that the replica takes over and its source does not send: they are not compared."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a comparison has got."""

    ranges: int
    """How many ranges have been compared."""
    of: int
    """How many ranges there are."""


def compare(
    replica: Replica,
    client: Client,
    *,
    repair: bool = False,
    sizes: Sizes = STANDARD_SIZES,
    using: str,
    progress: Callable[[Progress], None] = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
) -> Result:
    """Compare a replica with its source. Raises `ReplicaError` if it does not follow, and what the client does."""
    sides = suspects.sides(replica, client, sizes=sizes, using=using)
    differences: dict[str, Kind] = {}
    unsettled: list[str] = []
    suspected = rows = 0
    bounds = [None, *client.get(f"{sides.url}bounds/", params={"each": sizes.hashed_rows})["keys"], None]
    for done, (count, keys) in enumerate(suspects.suspects(sides, bounds), 1):
        rows, suspected = rows + count, suspected + len(keys)
        differences |= _judge_all(sides, keys, unsettled, repair=repair, pause=pause)
        progress(Progress(ranges=done, of=len(bounds) - 1))
    return Result(
        rows=None if callable(replica.where) else rows,
        ranges=len(bounds) - 1,
        suspects=suspected,
        differences=tuple(Difference(key=key, kind=kind) for key, kind in differences.items()),
        unsettled=tuple(unsettled),
        repaired=repair and bool(differences),
        absent=sides.absent,
    )


def _judge_all(
    sides: suspects.Sides, keys: Iterable[str], unsettled: list[str], *, repair: bool, pause: Callable[[float], None]
) -> dict[str, Kind]:
    """Judge suspects, and those with changes under way again after a moment, until the replica has them."""
    differences: dict[str, Kind] = {}
    left = list(keys)
    for number in range(ROUNDS):
        if not left:
            break
        if number:
            pause(0.2)
        again: list[str] = []
        for some in _chunks(left):
            judged, busy = _judge_in_parts(sides, some, repair=repair)
            differences |= judged
            again += busy
        left = again
    unsettled += left
    return differences


def _judge_in_parts(sides: suspects.Sides, keys: list[str], *, repair: bool) -> tuple[dict[str, Kind], list[str]]:
    """Judge some suspects as `_judge` does; if their rows are too large for one answer, each half by itself."""
    try:
        return _judge(sides, keys, repair=repair)
    except exceptions.RequestRefused as error:
        if error.status != 413 or len(keys) == 1:
            raise
    middle = len(keys) // 2
    first, first_busy = _judge_in_parts(sides, keys[:middle], repair=repair)
    second, second_busy = _judge_in_parts(sides, keys[middle:], repair=repair)
    return first | second, first_busy + second_busy


def _judge(sides: suspects.Sides, keys: list[str], *, repair: bool) -> tuple[dict[str, Kind], list[str]]:
    """Judge some suspects; return those that differ, and those with changes that the replica does not have yet."""
    replica, using = sides.replica, sides.using
    try:
        with transaction.atomic(using):
            # In this order: locked, the replica stays at its cursor; a change after the rows were read is seen last.
            locked = sql.run(using, sql.compose("queries/replica/position", name=replica.name))
            if not locked:
                raise exceptions.ReplicaError(f"{replica.name} is being copied again: compare it afterwards.")
            ((cursor, absent),) = locked
            body = sides.client.text(f"{sides.url}rows/", params={"wanted": json.dumps(keys), "seen": cursor})
            changed = _changed(sides, cursor)
            if changed is None:
                return {}, keys
            quiet = [key for key in keys if key not in changed]
            _stage(sides, body, quiet)
            table, lacking = Table(replica), frozenset(json.loads(absent))
            differences = {key: _kind(kind) for key, kind in table.differences(lacking, using=using)}
            if repair and differences:
                summary = staging.summary(replica.source, effects=[table], using=using)
                staged = Staged(summaries={replica.source: summary}, absent={replica.name: lacking})
                staging.apply(staged, [table], using=using)
    except IntegrityError as error:
        raise constraint_errors.failure([Table(replica)], error, using=using) from error
    return differences, [key for key in keys if key in changed]


def _changed(sides: suspects.Sides, cursor: str) -> set[str] | None:
    """Return the keys that changed after the cursor; None if any key of the table may have."""
    changed: set[str] = set()
    for page in pages.up_to_now(functools.partial(pages.changes, sides.client, [sides.replica.source]), cursor):
        for item in () if page.empty else jsontext.loads(page.body)["items"]:
            if item["op"] in {"truncate", "uncaptured"}:
                return None
            changed.add(item["key"])
    return changed


def _stage(sides: suspects.Sides, body: str, quiet: list[str]) -> None:
    """Stage the quiet suspects' rows, as the source has them."""
    items = {item["key"] for item in jsontext.loads(body)["items"]}
    gone = [
        {"key": key, "data": dict(zip(sides.keys, sides.parts(key) or (), strict=True))}
        for key in quiet
        if key not in items
    ]
    staging.begin(sides.using)
    sql.run(
        sides.using,
        sql.compose(
            "queries/replica/stage_rows", source=sides.replica.source, body=body, gone=json.dumps(gone), quiet=quiet
        ),
    )


def _chunks(keys: list[str]) -> Iterator[list[str]]:
    """Split keys so that each part fits into a URL."""
    some: list[str] = []
    length = 0
    for key in keys:
        size = len(quote(json.dumps(key))) + 3
        if some and length + size > KEYS_LENGTH:
            yield some
            some, length = [], 0
        some.append(key)
        length += size
    if some:
        yield some


def _kind(text: str) -> Kind:
    return "missing" if text == "missing" else "extra" if text == "extra" else "different"


def get(name: str) -> Replica:
    """Return a replica by its model's label. Raises `ReplicaError` for one that is none."""
    replica = declaration.get(name)
    if replica is None:
        known = ", ".join(declaration.all_replicas()) or "none"
        raise exceptions.ReplicaError(f"{name} is not a replica. Replicas are: {known}.")
    return replica
