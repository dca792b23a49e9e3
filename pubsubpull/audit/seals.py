"""Proof that the past of the log is what it was: seals over its changes, each with the hash of the one before.

The idea is that of a chain of hashes (Haber and Stornetta, 1991): who keeps the last hash somewhere else can tell that
nothing before it was altered, taken out or put in, whoever may write to the database.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 1000
"""How many changes a seal stands for."""
NAMED = 100
"""How many differing changes of one seal are named."""
IMPORTED = "Imported changes, whose versions are below 0, are not sealed: no seal could prove what they were."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seal:
    """The seal `id`, which with those before it stands for all changes up to `last`; `hash` is in hexadecimal."""

    id: int
    last: int
    hash: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Looked:
    """What verifying found at one seal: `problems` is empty where all is as it was."""

    seal: Seal
    changes: int
    problems: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seals:
    """The seals that there are, from `first` to `last`, 0 where there is none.

    Changes up to `dropped` have gone by retention; `erased` were erased on request; `imported`: there are some that
    have no seal.
    """

    first: int
    last: int
    count: int
    dropped: int
    erased: int
    imported: bool


def seal(using: str, *, age: float, size: int = SIZE) -> Iterator[Seal]:
    """Seal the changes that are older than `age` seconds, and give each seal as it is made."""
    while True:
        ((made,),) = sql.run(using, sql.compose("queries/audit/seal", at_most=size, age=age))
        newest = last(using)
        if made is None or newest is None:
            return
        yield newest


def last(using: str) -> Seal | None:
    """Return the last seal."""
    rows = sql.run(using, sql.compose("queries/audit/last_seal"))
    return Seal(id=rows[0][0], last=rows[0][1], hash=rows[0][2]) if rows else None


def count(using: str) -> Seals:
    """Return which seals there are."""
    ((first, newest, number, dropped, erased, imported),) = sql.run(using, sql.compose("queries/audit/seals"))
    return Seals(first=first, last=newest, count=number, dropped=dropped, erased=erased, imported=imported)


def verify(using: str, there: Seals) -> Iterator[Looked]:
    """Look at each seal and at its changes, in order, and give what was found."""
    for id_ in range(1, there.last + 1):
        yield _look(using, id_, there.dropped)


def _look(using: str, id_: int, dropped: int) -> Looked:
    query = sql.compose("queries/audit/verify", seal=id_, dropped=dropped, at_most=NAMED)
    rows = sql.run(using, query)
    if not rows:
        return Looked(seal=Seal(id=id_, last=0, hash=""), changes=0, problems=(f"seal {id_} is missing",))
    ((first, newest, hash_, follows, same, changes, differing),) = rows
    problems = [f"change {one}" for one in differing]
    if not same and not differing:
        problems.append(f"the changes {first} to {newest} are not those that were sealed")
    if not follows:
        problems.append(f"seal {id_}, of the changes {first} to {newest}, does not follow from the one before it")
    return Looked(seal=Seal(id=id_, last=newest, hash=hash_), changes=changes, problems=tuple(problems))
