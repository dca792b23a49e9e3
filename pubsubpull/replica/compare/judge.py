"""Compare a replica with its source, and repair it, while both go on.

Hashes of key ranges, then of rows, only find suspects: they are of different moments. The verdict is exact. The
replica's place is locked, so that it stays at one cursor; the suspects' rows are read at the source, and after them the
changes since that cursor. A suspect without a change is at the source what it was at the cursor, so the replica must
have just that; one with a change is still to come, and is looked at again.
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
from pubsubpull.replica import advance, constraint_errors, declaration, pages
from pubsubpull.replica.appliers import staged
from pubsubpull.replica.compare import suspects
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
    """A row that is not as it must be. `key` is the source's."""

    key: str
    kind: Kind


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What a comparison found.

    `rows` is how many the source has of those that concern the replica, None where only a function knows.
    `unsettled` are keys whose changes had not come to the replica when the comparison ended.
    """

    rows: int | None
    ranges: int
    suspects: int
    differences: tuple[Difference, ...]
    unsettled: tuple[str, ...] = ()
    repaired: bool = False
    absent: tuple[str, ...] = ()
    """Columns that the replica takes over and its source does not send: they are not compared."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """How many ranges have been compared, of how many."""

    ranges: int
    of: int


def compare(
    replica: Replica,
    client: Client,
    *,
    repair: bool = False,
    using: str,
    progress: Callable[[Progress], None] = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
) -> Result:
    """Compare a replica with its source. Raises `ReplicaError` where it does not follow, and what the client does."""
    sides = suspects.sides(replica, client, using)
    found: dict[str, Kind] = {}
    unsettled: list[str] = []
    suspected = rows = 0
    bounds = [None, *client.get(f"{sides.url}bounds/", params={"each": suspects.EACH})["keys"], None]
    for done, (count, keys) in enumerate(suspects.suspects(sides, bounds), 1):
        rows, suspected = rows + count, suspected + len(keys)
        found |= _judge_all(sides, keys, unsettled, repair=repair, pause=pause)
        progress(Progress(ranges=done, of=len(bounds) - 1))
    return Result(
        rows=None if callable(replica.where) else rows,
        ranges=len(bounds) - 1,
        suspects=suspected,
        differences=tuple(Difference(key=key, kind=kind) for key, kind in found.items()),
        unsettled=tuple(unsettled),
        repaired=repair and bool(found),
        absent=sides.absent,
    )


def _judge_all(
    sides: suspects.Sides, keys: Iterable[str], unsettled: list[str], *, repair: bool, pause: Callable[[float], None]
) -> dict[str, Kind]:
    """Judge suspects; those with changes under way again after a moment, until the replica has them."""
    found: dict[str, Kind] = {}
    left = list(keys)
    for number in range(ROUNDS):
        if not left:
            break
        if number:
            pause(0.2)
        again: list[str] = []
        for some in _chunks(left):
            judged, busy = _judge_in_parts(sides, some, repair=repair)
            found |= judged
            again += busy
        left = again
    unsettled += left
    return found


def _judge_in_parts(sides: suspects.Sides, keys: list[str], *, repair: bool) -> tuple[dict[str, Kind], list[str]]:
    """Judge some suspects as `_judge` does; where their rows are too large for one answer, each half by itself."""
    try:
        return _judge(sides, keys, repair=repair)
    except exceptions.Refused as error:
        if error.status != 413 or len(keys) == 1:
            raise
    middle = len(keys) // 2
    (found, again), (other, others) = (
        _judge_in_parts(sides, half, repair=repair) for half in (keys[:middle], keys[middle:])
    )
    return found | other, again + others


def _judge(sides: suspects.Sides, keys: list[str], *, repair: bool) -> tuple[dict[str, Kind], list[str]]:
    """Judge some suspects; return those that differ, and those with changes that the replica does not have yet."""
    replica, using = sides.replica, sides.using
    try:
        with transaction.atomic(using):
            locked = sql.run(using, sql.compose("queries/replica/place", name=replica.name))
            if not locked:
                raise exceptions.ReplicaError(f"{replica.name} is being copied again: compare it afterwards.")
            ((cursor, absent),) = locked
            body = sides.client.text(f"{sides.url}rows/", params={"wanted": json.dumps(keys), "seen": cursor})
            changed = _changed(sides, cursor)
            if changed is None:
                return {}, keys
            quiet = [key for key in keys if key not in changed]
            _lay(sides, body, quiet)
            found = {key: _kind(kind) for key, kind in staged.differences(replica, json.loads(absent), using=using)}
            if repair and found:
                advance.apply_to(replica, json.loads(absent), using=using)
    except IntegrityError as error:
        raise constraint_errors.failure([replica], error, using=using) from error
    return found, [key for key in keys if key in changed]


def _changed(sides: suspects.Sides, cursor: str) -> set[str] | None:
    """Return the keys that changed after the cursor; None where that is any of the table."""
    changed: set[str] = set()
    for page in pages.up_to_now(functools.partial(pages.changes, sides.client, [sides.replica.source]), cursor):
        for item in () if page.empty else jsontext.loads(page.body)["items"]:
            if item["op"] in {"truncate", "uncaptured"}:
                return None
            changed.add(item["key"])
    return changed


def _lay(sides: suspects.Sides, body: str, quiet: list[str]) -> None:
    """Lay the quiet suspects' rows out, as the source has them."""
    items = {item["key"] for item in jsontext.loads(body)["items"]}
    gone = [
        {"key": key, "data": dict(zip(sides.keys, sides.parts(key) or (), strict=True))}
        for key in quiet
        if key not in items
    ]
    staged.open_page(sides.using)
    sql.run(
        sides.using,
        sql.compose(
            "queries/replica/lay_rows", source=sides.replica.source, body=body, gone=json.dumps(gone), quiet=quiet
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
    found = declaration.get(name)
    if found is None:
        known = ", ".join(declaration.all_replicas()) or "none"
        raise exceptions.ReplicaError(f"{name} is not a replica. Replicas are: {known}.")
    return found
