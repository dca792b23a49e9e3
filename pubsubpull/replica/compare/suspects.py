"""Find suspects: keys with different hashes at the source and in the local table."""

from __future__ import annotations

import dataclasses
import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pubsubpull import exceptions
from pubsubpull.pull.hashes import Key, Table
from pubsubpull.replica.models import ReplicaState
from pubsubpull.replica.sizes import STANDARD_SIZES, Sizes
from pubsubpull.replica.tables import removal, writing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pubsubpull.pull.client import Client
    from pubsubpull.replica.declaration import Replica

RANGES_A_CALL = 8
"""The number of ranges in one call."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sides:
    """Both sides of a comparison: the calls to the source, and the local table."""

    replica: Replica
    """The compared replica."""
    client: Client
    """The client of the replica's service."""
    using: str
    """The local database."""
    params: dict[str, str]
    """The columns and rows to hash, as query parameters of the source's API."""
    keys: list[str]
    """The source's key columns, in its order."""
    local: Table
    """The local table, with the same columns in the same order."""
    sizes: Sizes
    """The number of rows that a hash covers, among others."""
    absent: tuple[str, ...] = ()
    """The columns that the source was seen not to send."""

    @property
    def unmarked(self) -> str:
        """The filter, as JSON, for local rows that are not marked as deleted."""
        return json.dumps(removal.unmarked(self.replica))

    @property
    def url(self) -> str:
        """The path of the model in the source's API."""
        return f"models/{quote(self.replica.source)}/"

    def remote_ranges(self, keys: Sequence[str | None]) -> list[tuple[int, int]]:
        """Return for each range between two neighbouring keys the number of the source's rows, and their hash."""
        answer = self.client.get(f"{self.url}hashes/", params={**self.params, "bounds": json.dumps(list(keys))})
        return [(each["count"], _signed(each["hash"])) for each in answer["ranges"]]

    def remote_rows(self, begin: str | None, end: str | None) -> dict[str, int]:
        """Return the hash of each of the source's rows between two keys, by key."""
        hashes: dict[str, int] = {}
        after = begin
        while True:
            params = {**self.params, "limit": self.sizes.hashed_rows}
            params |= {name: key for name, key in (("after", after), ("until", end)) if key is not None}
            items = self.client.get(f"{self.url}hashes/rows/", params=params)["items"]
            hashes |= {item["key"]: _signed(item["hash"]) for item in items}
            if len(items) < self.sizes.hashed_rows:
                return hashes
            after = items[-1]["key"]

    def parts(self, key: str | None) -> Key:
        """Return the texts of a key's columns."""
        if key is None or len(self.keys) == 1:
            return None if key is None else [key]
        # As texts: a number may have more digits than a float holds.
        values = json.loads(key, parse_int=str, parse_float=str)
        return [value if isinstance(value, str) else json.dumps(value) for value in values]


def sides(replica: Replica, client: Client, *, sizes: Sizes = STANDARD_SIZES, using: str) -> Sides:
    """Return both sides, with the columns to hash: those copied unchanged, sorted by the source's names.

    Raises `ReplicaError` if the replica cannot be compared.
    """
    if replica.write is not None:
        raise exceptions.ReplicaError(
            f"{replica.name} is written by the function {writing.name(replica)}, so its rows cannot be compared. "
            "To pass all rows to the function again, run pubsubpull_follow --refresh."
        )
    state = ReplicaState.objects.using(using).filter(name=replica.name).first()
    if state is None or not (state.cursor and state.shape):
        raise exceptions.ReplicaError(f"{replica.name} has not been copied yet: run pubsubpull_follow first.")
    keys = client.get(f"models/{quote(replica.source)}/")["key"]
    # Ranges and rows are named by the source's key: without it, no local row can be found.
    if sorted(keys) != sorted(replica.key_source):
        raise exceptions.ReplicaError(
            f"{replica.name} cannot be compared: its key is not the key of {replica.source} ({', '.join(keys)})."
        )
    local_key = dict(zip(replica.key_source, replica.key, strict=True))
    taken = _columns(replica, state)
    params = {"columns": ",".join(sorted(taken)), **_where(replica)}
    relation = ".".join(f'"{part.replace(chr(34), chr(34) * 2)}"' for part in replica.table if part)
    local = Table(relation=relation, keys=[local_key[name] for name in keys], columns=[taken[n] for n in sorted(taken)])
    absent = tuple(sorted(state.absent))
    return Sides(
        replica=replica,
        client=client,
        using=using,
        params=params,
        keys=keys,
        local=local,
        sizes=sizes,
        absent=absent,
    )


def _columns(replica: Replica, state: ReplicaState) -> dict[str, str]:
    """Return the columns to hash, those copied unchanged: the replica's name of each by the source's."""
    taken: dict[str, str] = {}
    for column in replica.columns:
        # A kept column holds the user's value, which may rightly differ.
        if isinstance(column.source, str) and not column.kept and column.source not in state.absent:
            taken.setdefault(column.source, column.name)
    return taken


def _where(replica: Replica) -> dict[str, str]:
    """Return the parameter that limits the source's rows to those of the replica; none if it takes all."""
    if not isinstance(replica.where, dict):
        return {}
    values = {
        name: list(value) if isinstance(value, list | tuple | set) else [value] for name, value in replica.where.items()
    }
    return {"where": json.dumps(values, default=str)}


def suspects(sides: Sides, bounds: Sequence[str | None]) -> Iterator[tuple[int, list[str]]]:
    """Yield for each range the number of the source's rows, and the keys of rows with different hashes."""
    for begin in range(0, len(bounds) - 1, RANGES_A_CALL):
        keys = bounds[begin : begin + RANGES_A_CALL + 1]
        ends = list(itertools.pairwise(keys))
        for (low, high), remote, local in zip(ends, *_both(sides, keys, ends), strict=True):
            yield remote[0], [] if remote == local else _differing(sides, low, high)


def _both(
    sides: Sides, keys: Sequence[str | None], ends: Sequence[tuple[str | None, str | None]]
) -> tuple[list[Any], list[Any]]:
    """Return the hashes of some ranges on both sides, taken at the same time."""
    # The closer the two moments, the fewer rows change between them, and become suspects for nothing.
    with ThreadPoolExecutor(1, thread_name_prefix="pubsubpull-compare") as thread:
        # The call in the thread, the query here: a connection of Django's belongs to its thread.
        remote = thread.submit(sides.remote_ranges, keys)
        bounds = [(sides.parts(low), sides.parts(high)) for low, high in ends]
        local = sides.local.ranges(bounds, where=sides.unmarked, using=sides.using)
        return remote.result(), [tuple(each) for each in local]


def _differing(sides: Sides, low: str | None, high: str | None) -> list[str]:
    remote = sides.remote_rows(low, high)
    local = dict(sides.local.rows(sides.parts(low), sides.parts(high), where=sides.unmarked, using=sides.using))
    return [key for key in {**remote, **local} if remote.get(key) != local.get(key)]


def _signed(text: str) -> int:
    number = int(text, 16)  # The source sends the 64 bits unsigned, but PostgreSQL's bigint is signed.
    return number - 2**64 if number >= 2**63 else number
