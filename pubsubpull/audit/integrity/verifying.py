"""Verifying the log: each digest is made again, here, of the rows as they are now, and compared with the chain's."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from django.db import transaction

from pubsubpull.audit.integrity import proof, seals
from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pubsubpull.audit.integrity.proof import Change, Seal

NAMED = 100
"""How many differing changes of one seal, and how many erased objects, are named."""
SKEW = 300
"""How far the clocks of this machine and of the database may be apart, in seconds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Looked:
    """What verifying found at one seal: `problems` is empty where all is as it was. `changes` are those that are so."""

    id: int
    changes: int
    problems: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Erased:
    """What was erased of one object, by whom and why: of how many changes, which columns if not all, and when last."""

    model: str
    key: str | None
    columns: list[str] | None
    changes: int
    at: str
    by: str
    reason: str


@dataclasses.dataclass(kw_only=True)
class Rest:
    """What is not proved: `after` seals follow the expected one. Of these and of no seal are the `erasures`."""

    after: int
    gone: int
    erased: int
    imported: int
    erasures: list[Erased]


class Verification:
    """Looks at each seal and at what it stands for, in order; `expect` is a hash that was kept, `keep` is RETENTION."""

    def __init__(self, using: str, *, expect: str | None, keep: float) -> None:
        self.using = using
        rows = self._run("queries/audit/seals/found", expect=None if expect is None else expect.strip().lower())
        ((self.last, self.count, self.expected, odd),) = rows
        self.problems = [f"{name} is no plain table, or shows some of its rows alone" for name in odd]
        if expect is not None and self.expected is None:
            self.problems.append("No seal has the hash that is expected: seals are gone, or made anew.")
        self._trusted = self.last if self.expected is None else self.expected
        self._keep = keep
        ((recorded,),) = self._run("queries/audit/seals/cutoff", upto=self._trusted)
        self._recorded = int(recorded)
        self._hash = b""
        self._ends = {"changes": 0, "erasures": 0}
        self._lowest = {"changes": 0, "imported": 0}
        self._gone = self._imported = self._told = 0

    @property
    def cutoff(self) -> int:
        """Before when changes may have gone by retention: as trusted seals say, or as the setting explains."""
        present = proof.now() - int((self._keep - SKEW) * seals.SECOND) if self._keep else 0
        return max(self._recorded, present)

    def looks(self) -> Iterator[Looked]:
        """Look at each seal, and give what was found."""
        for id_ in range(1, self.last + 1):
            with transaction.atomic(self.using):
                self._run("queries/audit/seals/steady")
                ((self._lowest["changes"], self._lowest["imported"]),) = self._run("queries/audit/seals/lowest")
                rows = self._run("queries/audit/seals/one", id=id_)
                looked = self._look(proof.Seal(*rows[0])) if rows else self._missing(id_)
            yield looked

    def rest(self) -> Rest:
        """Return what is not proved, once all seals have been looked at."""
        ((imported, erased),) = self._run("queries/audit/seals/rest", sealed=self._imported)
        told = self._run("queries/audit/seals/told_erasures", after=self._told, at_most=NAMED)
        return Rest(
            after=self.last - self._trusted,
            gone=self._gone,
            erased=erased,
            imported=imported,
            erasures=[
                Erased(model=model, key=key, columns=columns, changes=number, at=at, by=by, reason=reason)
                for model, key, columns, number, at, by, reason in told
            ],
        )

    def _missing(self, id_: int) -> Looked:
        return Looked(id=id_, changes=0, problems=(f"seal {id_} is missing",))

    def _look(self, seal: Seal) -> Looked:
        problems = []
        first = self._ends.get(seal.kind, seal.first - 1) + 1
        if proof.chained(self._hash, seal) != seal.hash or seal.first != first:
            problems.append(f"seal {seal.id}, of {_name(seal)}, does not follow from the one before it")
        self._hash = bytes(seal.hash)
        if seal.kind in self._ends:
            self._ends[seal.kind] = seal.last
        if not self._is_listed(seal):
            problems.append(f"seal {seal.id} does not list what was sealed, {_name(seal)}")
        number, differing = 0, list[str]()
        if seal.kind == "erasures":
            differing = self._erasures(seal)
            self._told = seal.last if seal.id <= self._trusted else self._told
        elif seal.kind in self._lowest:
            number, differing = self._changes(seal)
        return Looked(id=seal.id, changes=number, problems=(*problems, *differing[:NAMED]))

    def _is_listed(self, seal: Seal) -> bool:
        """Say whether a seal's lists are those that were sealed; it may have none once all of them have gone."""
        if seal.ids is None or seal.times is None or seal.leaves is None:
            gone = seal.kind in self._lowest and seal.newest < self.cutoff and seal.last < self._lowest[seal.kind]
            self._gone = max(self._gone, seal.last) if gone else self._gone
            return gone
        whole = len(seal.leaves) == proof.SIZE * len(seal.ids) and seal.newest >= max(seal.times, default=0)
        return whole and proof.listed(seal.ids, seal.times, seal.leaves) == seal.digest

    def _erasures(self, seal: Seal) -> list[str]:
        given = {"low": seal.first, "high": seal.last, "at_most": len(seal.ids or ()) + NAMED}
        rows = self._run("queries/audit/seals/erasures", **given)
        there = {row[0]: proof.erasure(proof.Erasure(*row)) for row in rows}
        sealed = {id_: seal.leaf(place) for place, id_ in enumerate(seal.ids or ())}
        return [
            f"erasure {id_} {'missing' if id_ not in there else 'put in' if id_ not in sealed else 'altered'}"
            for id_ in sorted(there.keys() | sealed.keys())
            if there.get(id_) != sealed.get(id_)
        ]

    def _changes(self, seal: Seal) -> tuple[int, list[str]]:
        there = self._there(seal)
        places = {id_: place for place, id_ in enumerate(seal.ids or ())}
        put_in = [f"change {change.id} put in" for change in there if change.id not in places]
        there = [change for change in there if change.id in places]
        missing = sorted(places.keys() - {change.id for change in there})
        unexplained = [id_ for id_ in missing if not self._has_gone(seal, id_, places[id_])]
        salts = [seal.salt(places[change.id]) for change in there]
        made = seals.leaves(self.using, there, salts)
        altered = [
            f"change {change.id} altered"
            for change, (leaf, stands) in zip(there, made, strict=True)
            if not stands or leaf != seal.leaf(places[change.id])
        ]
        self._gone = max(self._gone, *(id_ for id_ in missing if id_ not in unexplained), 0)
        if seal.kind == "imported":
            self._imported += len(there)
        return len(there) - len(altered), [*(f"change {id_} missing" for id_ in sorted(unexplained)), *altered, *put_in]

    def _has_gone(self, seal: Seal, id_: int, place: int) -> bool:
        """Say whether retention explains that a change has gone: it takes the oldest first, and the time was sealed."""
        time_ = (seal.times or [])[place : place + 1]
        return bool(time_) and time_[0] < self.cutoff and id_ < self._lowest[seal.kind]

    def _there(self, seal: Seal) -> list[Change]:
        if seal.kind == "imported":
            rows = self._run("queries/audit/seals/imported", ids=seal.ids or [])
        else:
            at_most = len(seal.ids or ()) + NAMED
            rows = self._run("queries/audit/seals/changes", low=seal.first, high=seal.last, at_most=at_most)
        return [proof.Change(*row) for row in rows]

    def _run(self, name: str, **parts: Any) -> list[tuple[Any, ...]]:
        return sql.run(self.using, sql.compose(name, **parts))


def _name(seal: Seal) -> str:
    what = {"changes": "the changes", "imported": "the imported changes", "erasures": "the erasures"}.get(seal.kind)
    return f"{what} {seal.first} to {seal.last}" if what else f"what had gone up to {seal.last}"
