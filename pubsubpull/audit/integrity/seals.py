"""Proof that the past of the log is what it was: seals over its changes, each with the hash of the one before.

The idea is that of a chain of hashes (Haber and Stornetta, 1991): who keeps the last hash somewhere else can tell that
nothing before it was altered, taken out or put in, whoever may write to the database.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import transaction

from pubsubpull.audit.integrity import proof
from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pubsubpull.audit.integrity.proof import Change, Erasure

SIZE = 1000
"""How many changes a seal stands for."""
BYTES = 16_000_000
"""How many bytes of rows, as PostgreSQL stores them, are read for a seal beyond its first change."""
SECOND = 1_000_000
LAST = 2**63 - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seal:
    """The seal `id`. With those before it it stands for all captured changes up to `last`; `hash` is hexadecimal."""

    id: int
    last: int
    hash: str


class Standing(NamedTuple):
    """How far the log may be sealed, what has gone by retention, and how far the chain has come."""

    until: int
    dropped: int
    past: int
    last: int
    hash: bytes
    changes: int
    erasures: int
    gone: int
    gone_past: int | None


def seal(using: str, *, age: float, keep: float = 0.0, size: int = SIZE, room: int = BYTES) -> Iterator[Seal]:
    """Seal what the chain does not stand for yet, and give each seal as it is made.

    That are changes older than `age` seconds, imported changes, erasures, and what had gone by the retention `keep`.
    A seal is of at most `size` changes, and begins none once their rows have `room` bytes. Two that seal at once do so
    one after the other.
    """
    steps: list[Callable[[Standing], bool]] = [
        lambda standing: _seal_gone(using, standing, keep),
        lambda standing: _seal_erasures(using, standing, size),
        lambda standing: _seal_imported(using, standing, size, room),
        lambda standing: _seal_changes(using, standing, age, size, room),
    ]
    for step in steps:
        while _locked(using, step):
            newest = last(using)
            if newest is not None:
                yield newest


def seal_erasures(using: str) -> None:
    """Seal the erasures that the chain does not stand for yet, if there is a chain."""
    if last(using) is not None:
        while _locked(using, lambda standing: _seal_erasures(using, standing, SIZE)):
            pass


def last(using: str) -> Seal | None:
    """Return the last seal."""
    rows = sql.run(using, sql.compose("queries/audit/last_seal"))
    return Seal(id=rows[0][0], last=rows[0][1], hash=rows[0][2]) if rows else None


def leaves(using: str, changes: Sequence[Change], salts: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Give the digest of each change, and whether it is what its erasures have left of it, if there were any."""
    requests = requests_of(using, changes)
    erased = erasures_of(using, changes)
    for change, salt in zip(changes, salts, strict=True):
        done = erased.get(change.id, [])
        request = requests.get(change.request_id) if change.request_id else None
        yield proof.leaf(change, done, request, salt), not done or proof.is_erased(change, done)


def requests_of(using: str, changes: Sequence[Change]) -> dict[str | None, str]:
    """Return the digests of the requests of changes, by id."""
    ids = list({change.request_id for change in changes if change.request_id})
    return {row[0]: proof.request(row) for row in _run(using, "queries/audit/seals/requests", ids=ids)} if ids else {}


def erasures_of(using: str, changes: Sequence[Change]) -> dict[int, list[Erasure]]:
    """Return the erasures of changes, by the changes' ids."""
    found: dict[int, list[Erasure]] = {}
    for row in _run(using, "queries/audit/seals/erasures_of", ids=[change.id for change in changes]):
        found.setdefault(row[1], []).append(proof.Erasure(*row))
    return found


def _locked(using: str, step: Callable[[Standing], bool]) -> bool:
    with transaction.atomic(using):
        _run(using, "queries/audit/seals/lock")
        # A statement of its own: it sees what was sealed while the lock was waited for.
        found = _run(using, "queries/audit/seals/standing")
        return bool(found) and step(Standing(*found[0]))


def _seal_gone(using: str, standing: Standing, keep: float) -> bool:
    """Record what has gone by retention since it was recorded last, and forget the lists of what has gone whole."""
    if not keep:
        return False
    before, gone = proof.now() - int(keep * SECOND), max(standing.dropped, standing.gone)
    past = standing.past if standing.gone_past is None else standing.gone_past
    _run(using, "queries/audit/seals/strip", before=before, dropped=gone, past=standing.past)
    if not standing.last or (gone, standing.past) == (standing.gone, past):
        return False
    return _add(using, standing, "retention", first=standing.past, last=gone, newest=before)


def _seal_erasures(using: str, standing: Standing, size: int) -> bool:
    rows = _run(using, "queries/audit/seals/erasures", low=standing.erasures + 1, high=LAST, at_most=size)
    done = [proof.Erasure(*row) for row in rows]
    return bool(done) and _add(
        using,
        standing,
        "erasures",
        first=done[0].id,
        last=done[-1].id,
        ids=[one.id for one in done],
        leaves=b"".join(map(proof.erasure, done)),
    )


def _seal_imported(using: str, standing: Standing, size: int, room: int) -> bool:
    if not standing.past:
        return False
    ids = [id_ for (id_,) in _run(using, "queries/audit/seals/next_imported", at_most=size, bytes=room)]
    return bool(ids) and _seal_these(using, standing, "imported", ids, first=ids[0])


def _seal_changes(using: str, standing: Standing, age: float, size: int, room: int) -> bool:
    after = max(standing.changes, standing.dropped)
    given = {"after": after, "until": standing.until, "age": age, "at_most": size, "bytes": room}
    ids = [id_ for (id_,) in _run(using, "queries/audit/seals/next_changes", **given)]
    return bool(ids) and _seal_these(using, standing, "changes", ids, first=standing.changes + 1)


def _seal_these(using: str, standing: Standing, kind: str, ids: list[int], *, first: int) -> bool:
    _run(using, "queries/audit/seals/close_requests", ids=ids)
    changes = [proof.Change(*row) for row in _run(using, "queries/audit/seals/imported", ids=ids)]
    salts = [os.urandom(proof.SALT) for _ in changes]
    times = [proof.microseconds(change.at) for change in changes]
    return _add(
        using,
        standing,
        kind,
        first=first,
        last=ids[-1],
        newest=max(times),
        ids=[change.id for change in changes],
        times=times,
        leaves=b"".join(leaf for leaf, _ in leaves(using, changes, salts)),
        salts=b"".join(salts),
    )


def _add(
    using: str,
    standing: Standing,
    kind: str,
    *,
    first: int,
    last: int,
    newest: int = 0,
    ids: list[int] | None = None,
    times: list[int] | None = None,
    leaves: bytes = b"",
    salts: bytes = b"",
) -> bool:
    ids, times = ids or [], times or []
    made = proof.Seal(
        id=standing.last + 1,
        kind=kind,
        first=first,
        last=last,
        newest=newest,
        ids=ids,
        times=times,
        leaves=leaves,
        salts=salts,
        digest=proof.listed(ids, times, leaves),
        hash=b"",
        sealed=proof.now(),
    )
    given = made._replace(hash=proof.chained(bytes(standing.hash), made))._asdict()
    sql.run_bound(using, sql.template("queries/audit/seals/add"), **given)
    return True


def _run(using: str, name: str, **parts: Any) -> list[tuple[Any, ...]]:
    return sql.run(using, sql.compose(name, **parts))
