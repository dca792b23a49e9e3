"""The log's partitions: to list them, to create the next ones, and to drop those with old changes alone."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pubsubpull.log.present import Present

PARTITIONS_AHEAD = 2
"""The number of partitions beyond the one that is written to."""
AGE_SLACK = 1.25
"""The age of the log's oldest change, as a multiple of the retention, from which on the log is trimmed row by row."""
TRIM_BATCH = 5_000
"""Changes that are trimmed in one transaction."""
MAKING = ("pubsubpull_make_partition",)
ADOPTING = ("pubsubpull_bound_default", "pubsubpull_validate_default", "pubsubpull_adopt_default")
DROPPING = (
    "pubsubpull_detach_partition",
    "pubsubpull_drop_detached",
    "pubsubpull_trim",
    "pubsubpull_trim_past",
    "pubsubpull_prune_requests",
)
"""The functions that maintenance calls. A role that the log is protected from may call the first alone."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Partition:
    """A partition: the changes with ids of a range. Times are in unix seconds throughout this module."""

    name: str
    low: int
    """The lowest id of the range."""
    high: int
    """The first id above the range."""
    spare: bool
    """True for the default partition, which takes the ids without a partition of their own."""
    newest: float | None
    """The time of the last change; None if the partition is empty."""
    xid: int | None
    """The newest transaction that wrote to it; None if it is empty."""
    bytes: int
    """The size on the disk."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cut:
    """Changes to remove from the beginning of the log."""

    upto: int
    """The last id to remove."""
    xid: int
    """The newest transaction that wrote the changes."""
    partition: str | None
    """The partition to drop as a whole; None if rows are to be deleted."""

    def __str__(self) -> str:
        return f"{self.partition or 'the changes'}, up to version {self.upto}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rights:
    """The rights of the current role on the functions of maintenance."""

    owner: str
    """The role that owns the log."""
    withheld: frozenset[str]
    """The functions that the current role may not call."""

    def allow(self, functions: Sequence[str]) -> bool:
        """True if the role may call all of these functions."""
        return self.withheld.isdisjoint(functions)


def rights(using: str) -> Rights:
    """Return the rights of the current role."""
    # Asked before the calls, as each call that is refused would be an error in the server's own log.
    names = [*MAKING, *ADOPTING, *DROPPING]
    ((owner, withheld),) = sql.run(using, sql.compose("queries/maintain/withheld", names=names))
    return Rights(owner=owner, withheld=frozenset(withheld))


def read(now: Present, using: str) -> list[Partition]:
    """Return the partitions by id, the default partition last."""
    rows = sql.run(using, sql.compose("queries/maintain/partitions", restored=now.restored))
    names = [field.name for field in dataclasses.fields(Partition)]
    return [Partition(**dict(zip(names, row, strict=True))) for row in rows]


def missing(partitions: Sequence[Partition], *, seq: int, size: int) -> list[tuple[int, int]]:
    """Return the ranges `(low, high)` of the partitions to create, so that `PARTITIONS_AHEAD` are beyond the id `seq`.

    A partition up to 100, seq 5 and size 100 → (100, 200), (200, 300).
    """
    low = end(partitions)
    ahead = sum(1 for partition in partitions if not partition.spare and partition.low > seq)
    ranges = []
    while ahead < PARTITIONS_AHEAD:
        # The first range may have to reach far: a sequence that was moved on leaves the partitions behind.
        high = max(low, seq) + size
        ranges.append((low, high))
        ahead += low > seq
        low = high
    return ranges


def end(partitions: Sequence[Partition]) -> int:
    """Return the lowest id that has no partition but the default partition."""
    return partitions[-1].low


def overflowed(partitions: Sequence[Partition]) -> bool:
    """True if the default partition holds changes."""
    return partitions[-1].spare and partitions[-1].newest is not None


def expired(partitions: Sequence[Partition], *, settled: int, before: float) -> list[Cut]:
    """Return the oldest partitions, as cuts, in which every change is settled and older than `before`."""
    cuts = []
    for partition in partitions:
        old = partition.newest is None or partition.newest < before
        # A transaction that still runs may write into a partition whose ids are not settled.
        if partition.spare or partition.high - 1 > settled or not old:
            break
        cuts.append(Cut(upto=partition.high - 1, xid=partition.xid or 0, partition=partition.name))
    return cuts


def too_old(oldest: float | None, *, now: float, keep: float) -> bool:
    """True if the log's oldest change should be trimmed. `keep` is the retention in seconds."""
    # With some slack: a partition is dropped as a whole where it fills fast enough, which is far cheaper than rows.
    return oldest is not None and now - oldest > keep * AGE_SLACK


def oldest(now: Present, using: str) -> float | None:
    """Return the time of the oldest change; None if the log is empty."""
    rows = sql.run(using, sql.compose("queries/maintain/oldest", dropped=now.dropped))
    return rows[0][0] if rows else None


def first_old(now: Present, *, before: float, using: str) -> Cut | None:
    """Return a cut of the next changes to trim, at most `TRIM_BATCH`; None if the first change is not that old."""
    ((upto, xid),) = sql.run(
        using,
        sql.compose(
            "queries/maintain/old",
            restored=now.restored,
            dropped=now.dropped,
            settled=now.settled,
            cutoff=before,
            at_most=TRIM_BATCH,
        ),
    )
    return None if upto is None else Cut(upto=upto, xid=xid or 0, partition=None)


def make(low: int, high: int, using: str) -> bool:
    """Create a partition; return True if it was created. Raises `OperationalError` if another session has the lock."""
    return bool(_call("queries/maintain/make_partition", using, low=low, high=high))


def detach(cut: Cut, using: str) -> bool:
    """Detach the oldest partition; return True if it was detached. Raises `OperationalError` as `make` does."""
    return bool(_call("queries/maintain/detach_partition", using, upto=cut.upto, newest=str(cut.xid)))


def trim(cut: Cut, using: str) -> int:
    """Delete the changes of a cut; return their number. Raises `OperationalError` as `make` does."""
    return _call("queries/maintain/trim", using, upto=cut.upto, newest=str(cut.xid))  # type: ignore[no-any-return]


def old_past(before: float, using: str) -> int:
    """Return the number of imported changes that are older than a moment."""
    return _call("queries/maintain/old_past", using, before=before)  # type: ignore[no-any-return]


def trim_past(before: float, using: str) -> int:
    """Delete at most `TRIM_BATCH` imported changes that are older than a moment; return their number."""
    return _call("queries/maintain/trim_past", using, before=before, at_most=TRIM_BATCH)  # type: ignore[no-any-return]


def drop_detached(using: str) -> str | None:
    """Drop one detached partition; return its name, or None if there is none."""
    # Apart from detaching it, so that readers wait for the short step alone.
    return _call("queries/maintain/drop_detached", using)  # type: ignore[no-any-return]


def adopt(below: int, using: str) -> bool:
    """Make the default partition, with its changes, that of the ids up to `below`; return True if it was done."""
    # Three transactions: the constraint is checked with writers at work, and the lock of the last step is then short.
    _call("queries/maintain/bound_default", using, below=below)
    _call("queries/maintain/validate_default", using)
    return bool(_call("queries/maintain/adopt_default", using, below=below))


def release_default(using: str) -> None:
    """Remove the bound that an unfinished `adopt` left on a default partition that is empty by now."""
    # Asked first: to remove it takes a lock that holds up writers.
    ((bound,),) = sql.run(using, sql.template("queries/maintain/is_bound"))
    if bound:
        _call("queries/maintain/bound_default", using, below=None)


def prune_requests(before: float, using: str) -> int:
    """Delete at most `TRIM_BATCH` requests without changes that began before a moment; return their number."""
    return _call("queries/maintain/prune_requests", using, before=before, at_most=TRIM_BATCH)  # type: ignore[no-any-return]


def _call(name: str, using: str, **parts: object) -> Any:
    ((result,),) = sql.run(using, sql.compose(name, **parts))
    return result
