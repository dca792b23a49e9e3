"""The log's partitions: which are there, which are to be made, and which are old enough to go."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pubsubpull.log.present import Present

PARTITIONS_AHEAD = 2
"""How many partitions there are beyond the one that is being written to."""
SIZE_SLACK = 1.25
"""A log whose oldest change is older than so many times the age to keep is trimmed row by row."""
TRIM_BATCH = 5_000
"""How many changes are trimmed in one transaction."""
MAKING = ("pubsubpull_make_partition",)
ADOPTING = ("pubsubpull_bound_default", "pubsubpull_validate_default", "pubsubpull_adopt_default")
DROPPING = (
    "pubsubpull_detach_partition",
    "pubsubpull_drop_detached",
    "pubsubpull_trim",
    "pubsubpull_trim_past",
    "pubsubpull_prune_requests",
)
"""What maintenance calls. From a role that the log is protected from, only the first is not withheld."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Partition:
    """The changes with ids from `low` up to, but without, `high`.

    `newest` is the time of the last of them, in unix seconds as all times here, and `xid` the newest transaction;
    None where there is none. `spare` is the default partition, which takes what has no other.
    """

    name: str
    low: int
    high: int
    spare: bool
    newest: float | None
    xid: int | None
    bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cut:
    """What goes from the beginning of the log: all changes up to an id, the newest written by `xid`.

    It is the whole of `partition`, or, if None, rows of one.
    """

    upto: int
    xid: int
    partition: str | None

    def __str__(self) -> str:
        return f"{self.partition or 'the changes'}, up to version {self.upto}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rights:
    """Who owns the log, and which functions of maintenance the current role may not call."""

    owner: str
    withheld: frozenset[str]

    def allow(self, functions: Sequence[str]) -> bool:
        """Say whether the role may call all of them."""
        return self.withheld.isdisjoint(functions)


def rights(using: str) -> Rights:
    """Return what the current role may do. To ask leaves no errors in the database's own log."""
    names = [*MAKING, *ADOPTING, *DROPPING]
    ((owner, withheld),) = sql.run(using, sql.compose("queries/maintain/withheld", names=names))
    return Rights(owner=owner, withheld=frozenset(withheld))


def read(now: Present, using: str) -> list[Partition]:
    """Return the partitions, by id, the default one last."""
    rows = sql.run(using, sql.compose("queries/maintain/partitions", restored=now.restored))
    names = [field.name for field in dataclasses.fields(Partition)]
    return [Partition(**dict(zip(names, row, strict=True))) for row in rows]


def missing(partitions: Sequence[Partition], *, seq: int, size: int) -> list[tuple[int, int]]:
    """Return the ranges to make partitions for, so that two are ahead of the id `seq`.

    One up to 100 and seq 5, size 100 → (100, 200), (200, 300).
    """
    low = end(partitions)
    ahead = sum(1 for one in partitions if not one.spare and one.low > seq)
    found = []
    while ahead < PARTITIONS_AHEAD:
        high = max(low, seq) + size
        found.append((low, high))
        ahead += low > seq
        low = high
    return found


def end(partitions: Sequence[Partition]) -> int:
    """Return the first id that only the default partition takes."""
    return partitions[-1].low


def overflowed(partitions: Sequence[Partition]) -> bool:
    """Say whether the default partition holds changes."""
    return partitions[-1].spare and partitions[-1].newest is not None


def expired(partitions: Sequence[Partition], *, settled: int, before: float) -> list[Cut]:
    """Return the partitions, from the oldest on, of which every change is older than `before` and settled."""
    found = []
    for one in partitions:
        old = one.newest is None or one.newest < before
        if one.spare or one.high - 1 > settled or not old:
            break
        found.append(Cut(upto=one.high - 1, xid=one.xid or 0, partition=one.name))
    return found


def too_old(oldest: float | None, *, now: float, keep: float) -> bool:
    """Say whether the log's oldest change should be trimmed, as its partition fills too slowly to go as a whole."""
    return oldest is not None and now - oldest > keep * SIZE_SLACK


def oldest(now: Present, using: str) -> float | None:
    """Return the time of the oldest change, None where the log has none."""
    rows = sql.run(using, sql.compose("queries/maintain/oldest", dropped=now.dropped))
    return rows[0][0] if rows else None


def first_old(now: Present, *, before: float, using: str) -> Cut | None:
    """Return the changes to trim next, at most `TRIM_BATCH`; None where the log's first change is not that old."""
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
    """Make a partition; say whether it was made. Raises `OperationalError` where a lock was not to be had."""
    return bool(_call("queries/maintain/make_partition", using, low=low, high=high))


def detach(cut: Cut, using: str) -> bool:
    """Take the oldest partition off; say whether it was done. Raises `OperationalError` as `make`."""
    return bool(_call("queries/maintain/detach_partition", using, upto=cut.upto, newest=str(cut.xid)))


def trim(cut: Cut, using: str) -> int:
    """Delete the changes of a cut; return how many. Raises `OperationalError` as `make`."""
    return _call("queries/maintain/trim", using, upto=cut.upto, newest=str(cut.xid))  # type: ignore[no-any-return]


def old_past(before: float, using: str) -> int:
    """Return how many imported changes are of before a moment."""
    return _call("queries/maintain/old_past", using, before=before)  # type: ignore[no-any-return]


def trim_past(before: float, using: str) -> int:
    """Delete some imported changes of before a moment; return how many."""
    return _call("queries/maintain/trim_past", using, before=before, at_most=TRIM_BATCH)  # type: ignore[no-any-return]


def drop_detached(using: str) -> str | None:
    """Drop one partition that was taken off; return its name, None where there is none."""
    return _call("queries/maintain/drop_detached", using)  # type: ignore[no-any-return]


def adopt(below: int, using: str) -> bool:
    """Make the default partition, with what is in it, the one of the ids up to `below`; say whether it was done."""
    _call("queries/maintain/bound_default", using, below=below)
    _call("queries/maintain/validate_default", using)
    return bool(_call("queries/maintain/adopt_default", using, below=below))


def release_default(using: str) -> None:
    """Take back the bound of a default partition that was to be adopted, and is empty by now."""
    ((bound,),) = sql.run(using, sql.template("queries/maintain/is_bound"))
    if bound:
        _call("queries/maintain/bound_default", using, below=None)


def prune_requests(before: float, using: str) -> int:
    """Delete some requests that began before a moment and have no changes left; return how many."""
    return _call("queries/maintain/prune_requests", using, before=before, at_most=TRIM_BATCH)  # type: ignore[no-any-return]


def _call(name: str, using: str, **parts: object) -> Any:
    ((result,),) = sql.run(using, sql.compose(name, **parts))
    return result
