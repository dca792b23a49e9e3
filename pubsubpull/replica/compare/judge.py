"""Compare a replica with its source, and repair it, while both are in use.

Hashes of key ranges, and then of rows, find suspects. They prove nothing, since the two sides are hashed at different
moments. The verdict is exact. It locks the replica's position, which keeps the replica at one cursor. It reads the
suspects' rows at the source, and after that the changes since the cursor. If a suspect has no change, its row at the
source is the row at the cursor, so the replica must have the same row. If it has a change, it is judged again later.
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
"""The characters of a URL that keys may take; most servers accept about 4,000 in all."""
ROUNDS = 10
"""The number of attempts to judge a row that changes all the time."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """A row that differs between source and replica."""

    key: str
    """The key of the row at the source, as text."""
    kind: Kind
    """`missing` (only at the source), `extra` (only in the replica) or `different`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a comparison."""

    rows: int | None
    """The number of the source's rows that the replica takes; None if `where` is a function."""
    ranges: int
    """The number of compared key ranges."""
    suspects: int
    """The number of rows with different hashes."""
    differences: tuple[Difference, ...]
    """The rows that differ from the source."""
    unsettled: tuple[str, ...] = ()
    """The keys of rows that kept changing, and so could not be judged."""
    repaired: bool = False
    """True if the differing rows were repaired."""
    absent: tuple[str, ...] = ()
    """The replicated columns that the source does not send; they are not compared."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of a comparison."""

    ranges: int
    """The number of ranges compared so far."""
    of: int
    """The number of all ranges."""


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
    """Compare a replica with its source, and with `repair` correct it.

    `progress` is called after each range. `pause` waits the given seconds before a changing row is judged again.
    Raises `ReplicaError` if the replica does not follow or cannot be compared, and the errors of the client.
    """
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
    """Judge suspects; judge suspects with changes under way again, up to `ROUNDS` times."""
    differences: dict[str, Kind] = {}
    left = list(keys)
    for number in range(ROUNDS):
        if not left:
            break
        if number:
            pause(0.2)  # The replica follows meanwhile, and so takes the changes under way.
        again: list[str] = []
        for some in _chunks(left):
            judged, busy = _judge_in_parts(sides, some, repair=repair)
            differences |= judged
            again += busy
        left = again
    unsettled += left
    return differences


def _judge_in_parts(sides: suspects.Sides, keys: list[str], *, repair: bool) -> tuple[dict[str, Kind], list[str]]:
    """Judge suspects as `_judge` does; if their rows are too large for one answer, judge each half alone."""
    try:
        return _judge(sides, keys, repair=repair)
    except exceptions.RequestRefused as error:
        if error.status != 413 or len(keys) == 1:
            raise  # Only too large an answer gets smaller with fewer keys.
    middle = len(keys) // 2
    first, first_busy = _judge_in_parts(sides, keys[:middle], repair=repair)
    second, second_busy = _judge_in_parts(sides, keys[middle:], repair=repair)
    return first | second, first_busy + second_busy


def _judge(sides: suspects.Sides, keys: list[str], *, repair: bool) -> tuple[dict[str, Kind], list[str]]:
    """Judge some suspects; return the differing rows, and the keys with changes still to be applied."""
    replica, using = sides.replica, sides.using
    try:
        with transaction.atomic(using):
            # The order matters. Lock first: the replica stays at its cursor. Read the rows next, and the changes last,
            # so that every change before the reading of the rows is among them.
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
            # Behind the same lock: a page that was applied in between could be overwritten with older rows.
            if repair and differences:
                summary = staging.summary(replica.source, effects=[table], using=using)
                staged = Staged(summaries={replica.source: summary}, absent={replica.name: lacking})
                staging.apply(staged, [table], using=using)
    # Outside the transaction: deferred constraints fail only as it commits.
    except IntegrityError as error:
        raise constraint_errors.failure([Table(replica)], error, using=using) from error
    return differences, [key for key in keys if key in changed]


def _changed(sides: suspects.Sides, cursor: str) -> set[str] | None:
    """Return the keys that changed after the cursor; None if all keys may have changed."""
    changed: set[str] = set()
    for page in pages.up_to_now(functools.partial(pages.changes, sides.client, [sides.replica.source]), cursor):
        for item in () if page.empty else jsontext.loads(page.body)["items"]:
            if item["op"] in {"truncate", "uncaptured"}:
                return None  # These operations name no keys.
            changed.add(item["key"])
    return changed


def _stage(sides: suspects.Sides, body: str, quiet: list[str]) -> None:
    """Stage the source's rows of the suspects without changes."""
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
    """Return the replica with a model's label. Raises `ReplicaError` if there is none."""
    replica = declaration.get(name)
    if replica is None:
        known = ", ".join(declaration.all_replicas()) or "none"
        raise exceptions.ReplicaError(f"{name} is not a replica. Replicas are: {known}.")
    return replica
