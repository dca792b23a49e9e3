"""Verifies the log: computes each digest again from the present rows, and compares it with the chain of seals."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from django.db import transaction

from pubsubpull.audit.integrity import proof, seals
from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pubsubpull.audit.integrity.proof import Change, Seal

NAMED_AT_MOST = 100
"""Differing changes of one seal, and erased objects, that are named."""
CLOCK_SKEW = 300
"""Seconds that the clocks of this machine and of the database may differ."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Looked:
    """The result for one seal."""

    id: int
    """The number of the seal."""
    changes: int
    """The changes that are proved to be unaltered."""
    problems: tuple[str, ...]
    """A text for each contradiction; empty if the log agrees with the seal."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Erased:
    """The erasures of one object that have the same person and reason."""

    model: str
    """The object's model, by its label."""
    key: str | None
    """The object's key; None for columns forgotten in all changes of the model."""
    columns: list[str] | None
    """The erased columns; None if whole rows were erased."""
    changes: int
    """The number of changes that were erased."""
    at: str
    """The time of the last of these erasures."""
    by: str
    """The name of the person."""
    reason: str


@dataclasses.dataclass(kw_only=True)
class Rest:
    """The parts of the log that the expected hash does not prove."""

    after: int
    """The seals after the expected one."""
    gone: int
    """The last id that retention has deleted, as the seals explain it."""
    erased: int
    """The number of erased changes."""
    imported: int
    """The imported changes without a seal."""
    erasures: list[Erased]
    """The erasures after the expected seal, or without a seal."""


class Verification:
    """Checks each seal and the changes that it covers, in order."""

    def __init__(self, using: str, *, expect: str | None, keep: float) -> None:
        """Read the chain's ends. `expect` is a hash kept outside of the database, `keep` is RETENTION in seconds."""
        self.using = using
        rows = self._run("queries/audit/seals/found", expect=None if expect is None else expect.strip().lower())
        ((self.last, self.count, self.expected, suspect),) = rows
        # Such a table may show other rows to the verifier than to readers.
        self.problems = [f"{name} is not a plain table, or hides some of its rows" for name in suspect]
        if expect is not None and self.expected is None:
            self.problems.append("No seal has the expected hash: seals were deleted or replaced.")
        # Seals after the expected one prove nothing: the owner of the database may have written them anew.
        self._trusted = self.last if self.expected is None else self.expected
        self._keep = keep
        ((recorded,),) = self._run("queries/audit/seals/cutoff", upto=self._trusted)
        self._recorded = int(recorded)
        self._hash = b""
        self._ends = {"changes": 0, "erasures": 0}
        self._lowest = {"changes": 0, "imported": 0}
        self._gone = self._imported = self._reported = 0

    @property
    def cutoff(self) -> int:
        """The time before which retention may have deleted changes, in microseconds: by trusted seals or RETENTION."""
        present = proof.now() - int((self._keep - CLOCK_SKEW) * seals.MICROSECONDS) if self._keep else 0
        return max(self._recorded, present)

    def looks(self) -> Iterator[Looked]:
        """Check each seal in order, and yield its result."""
        for id_ in range(1, self.last + 1):
            # A transaction for each seal, with one snapshot: retention, erasures and imports go on meanwhile.
            with transaction.atomic(self.using):
                self._run("queries/audit/seals/steady")
                ((self._lowest["changes"], self._lowest["imported"]),) = self._run("queries/audit/seals/lowest")
                rows = self._run("queries/audit/seals/one", id=id_)
                looked = self._look(proof.Seal(*rows[0])) if rows else self._missing(id_)
            # Outside of the transaction, which would stay open while the caller does something else.
            yield looked

    def rest(self) -> Rest:
        """Return the parts of the log that are not proved. Call it after all results of `looks` were read."""
        ((imported, erased),) = self._run("queries/audit/seals/rest", sealed=self._imported)
        rows = self._run("queries/audit/seals/told_erasures", after=self._reported, at_most=NAMED_AT_MOST)
        return Rest(
            after=self.last - self._trusted,
            gone=self._gone,
            erased=erased,
            imported=imported,
            erasures=[
                Erased(model=model, key=key, columns=columns, changes=number, at=at, by=by, reason=reason)
                for model, key, columns, number, at, by, reason in rows
            ],
        )

    def _missing(self, id_: int) -> Looked:
        return Looked(id=id_, changes=0, problems=(f"seal {id_} is missing",))

    def _look(self, seal: Seal) -> Looked:
        problems = []
        first = self._ends.get(seal.kind, seal.first - 1) + 1
        if proof.chained(self._hash, seal) != seal.hash or seal.first != first:
            problems.append(f"seal {seal.id}, of {_name(seal)}, does not follow from the one before it")
        # The stored hash, not the computed one: a single altered seal is then reported once, not with all after it.
        self._hash = bytes(seal.hash)
        if seal.kind in self._ends:
            self._ends[seal.kind] = seal.last
        if not self._is_listed(seal):
            problems.append(f"seal {seal.id} does not list what was sealed, {_name(seal)}")
        number, differing = 0, list[str]()
        if seal.kind == "erasures":
            differing = self._erasures(seal)
            self._reported = seal.last if seal.id <= self._trusted else self._reported
        elif seal.kind in self._lowest:
            number, differing = self._changes(seal)
        return Looked(id=seal.id, changes=number, problems=(*problems, *differing[:NAMED_AT_MOST]))

    def _is_listed(self, seal: Seal) -> bool:
        """Return True if a seal has the sealed lists, or has lost them to retention with all of its changes."""
        if seal.ids is None or seal.times is None or seal.leaves is None:
            gone = seal.kind in self._lowest and seal.newest < self.cutoff and seal.last < self._lowest[seal.kind]
            self._gone = max(self._gone, seal.last) if gone else self._gone
            return gone
        whole = len(seal.leaves) == proof.DIGEST_SIZE * len(seal.ids) and seal.newest >= max(seal.times, default=0)
        return whole and proof.listed(seal.ids, seal.times, seal.leaves) == seal.digest

    def _erasures(self, seal: Seal) -> list[str]:
        # Some more than were sealed, so that records added later are seen.
        at_most = len(seal.ids or ()) + NAMED_AT_MOST
        rows = self._run("queries/audit/seals/erasures", low=seal.first, high=seal.last, at_most=at_most)
        present = {row[0]: proof.erasure(proof.Erasure(*row)) for row in rows}
        sealed = {id_: seal.leaf(position) for position, id_ in enumerate(seal.ids or ())}
        return [
            f"erasure {id_} {'missing' if id_ not in present else 'put in' if id_ not in sealed else 'altered'}"
            for id_ in sorted(present.keys() | sealed.keys())
            if present.get(id_) != sealed.get(id_)
        ]

    def _changes(self, seal: Seal) -> tuple[int, list[str]]:
        """Return the number of unaltered changes, and a text for each missing, altered or added change."""
        positions = {id_: position for position, id_ in enumerate(seal.ids or ())}
        stored = self._stored(seal)
        put_in = [f"change {change.id} put in" for change in stored if change.id not in positions]
        stored = [change for change in stored if change.id in positions]
        missing = sorted(positions.keys() - {change.id for change in stored})
        unexplained = [id_ for id_ in missing if not self._has_gone(seal, id_, positions[id_])]
        salts = [seal.salt(positions[change.id]) for change in stored]
        leaves = seals.leaves(self.using, stored, salts)
        altered = [
            f"change {change.id} altered"
            for change, (leaf, is_consistent) in zip(stored, leaves, strict=True)
            if not is_consistent or leaf != seal.leaf(positions[change.id])
        ]
        self._gone = max(self._gone, *(id_ for id_ in missing if id_ not in unexplained), 0)
        if seal.kind == "imported":
            self._imported += len(stored)
        return len(stored) - len(altered), [
            *(f"change {id_} missing" for id_ in sorted(unexplained)),
            *altered,
            *put_in,
        ]

    def _has_gone(self, seal: Seal, id_: int, position: int) -> bool:
        """Return True if retention explains that a change is missing, by its sealed time and its id."""
        # By its id as well: retention deletes the oldest changes first, so no older one may be left.
        time_ = (seal.times or [])[position : position + 1]
        return bool(time_) and time_[0] < self.cutoff and id_ < self._lowest[seal.kind]

    def _stored(self, seal: Seal) -> list[Change]:
        """Return the changes that the log has where the seal's are, with some more, so that added ones are seen."""
        if seal.kind == "imported":
            rows = self._run("queries/audit/seals/imported", ids=seal.ids or [])
        else:
            at_most = len(seal.ids or ()) + NAMED_AT_MOST
            rows = self._run("queries/audit/seals/changes", low=seal.first, high=seal.last, at_most=at_most)
        return [proof.Change(*row) for row in rows]

    def _run(self, name: str, **parts: Any) -> list[tuple[Any, ...]]:
        return sql.run(self.using, sql.compose(name, **parts))


def _name(seal: Seal) -> str:
    items = {"changes": "the changes", "imported": "the imported changes", "erasures": "the erasures"}.get(seal.kind)
    return f"{items} {seal.first} to {seal.last}" if items else f"the deletions of retention up to {seal.last}"
