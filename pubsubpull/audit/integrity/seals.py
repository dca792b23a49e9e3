"""Seals: a chain of hashes over the changes of the log (Haber and Stornetta, 1991).

Each seal contains the hash of the previous one. If the last hash is kept outside of the database, `verifying` proves
with it that no earlier change was altered, removed or added, not even by the owner of the database.
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

SEAL_SIZE = 1000
"""Changes that a seal covers at most."""
SEAL_BYTES = 16_000_000
"""Bytes of rows, as PostgreSQL stores them, that a seal covers at most, if it covers more than one change."""
MICROSECONDS = 1_000_000
"""Microseconds of a second."""
LAST_ID = 2**63 - 1
"""The largest bigint."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seal:
    """A seal, as commands report it."""

    id: int
    """The number of the seal, from 1."""
    last: int
    """The last id that it covers."""
    hash: str
    """Its hash in hexadecimal digits. It covers all seals before it as well."""


class ChainState(NamedTuple):
    """The state of the log and of the chain, read under the lock."""

    until: int
    """The last id that may be sealed: after it a transaction may still be running."""
    dropped: int
    """The last id that retention has deleted."""
    past: int
    """The lowest id of imported changes; 0 if there are none."""
    last: int
    """The number of the last seal; 0 if there is none."""
    hash: bytes
    """The hash of the last seal."""
    changes: int
    """The last captured change that a seal covers."""
    erasures: int
    """The last erasure that a seal covers."""
    gone: int
    """The last deleted id that a seal of kind `retention` records."""
    gone_past: int | None
    """The lowest imported id that such a seal records; None without such a seal."""


def seal(
    using: str, *, age: float, keep: float = 0.0, size: int = SEAL_SIZE, max_bytes: int = SEAL_BYTES
) -> Iterator[Seal]:
    """Add seals until the chain covers the log; yield each new seal.

    The chain covers changes older than `age` seconds, imported changes, erasures, and the ids that the retention of
    `keep` seconds deleted (0: no retention). A seal covers `size` changes at most, and takes no further change once
    their rows have `max_bytes` bytes. Of two processes that seal at a time, the second waits for the first.
    """
    # In this order: deleted ids and erasures are recorded before the seals that cover their changes.
    steps: list[Callable[[ChainState], bool]] = [
        lambda state: _seal_deleted(using, state, keep),
        lambda state: _seal_erasures(using, state, size),
        lambda state: _seal_imported(using, state, size, max_bytes),
        lambda state: _seal_changes(using, state, age, size, max_bytes),
    ]
    for step in steps:
        while _locked(using, step):
            newest = last(using)
            if newest is not None:
                yield newest


def seal_erasures(using: str) -> None:
    """Seal the erasures that no seal covers yet; do nothing if the log was never sealed."""
    if last(using) is not None:
        while _locked(using, lambda state: _seal_erasures(using, state, SEAL_SIZE)):
            pass


def last(using: str) -> Seal | None:
    """Return the last seal; None if the log was never sealed."""
    rows = sql.run(using, sql.compose("queries/audit/last_seal"))
    return Seal(id=rows[0][0], last=rows[0][1], hash=rows[0][2]) if rows else None


def leaves(using: str, changes: Sequence[Change], salts: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield the digest of each change, and True if the change is in the state that its erasures have left."""
    requests = requests_of(using, changes)
    erased = erasures_of(using, changes)
    for change, salt in zip(changes, salts, strict=True):
        erasures = erased.get(change.id, [])
        request = requests.get(change.request_id) if change.request_id else None
        yield proof.leaf(change, erasures, request, salt), not erasures or proof.is_erased(change, erasures)


def requests_of(using: str, changes: Sequence[Change]) -> dict[str | None, str]:
    """Return the digests of the requests of changes, by the requests' ids."""
    ids = list({change.request_id for change in changes if change.request_id})
    return {row[0]: proof.request(row) for row in _run(using, "queries/audit/seals/requests", ids=ids)} if ids else {}


def erasures_of(using: str, changes: Sequence[Change]) -> dict[int, list[Erasure]]:
    """Return the erasures of changes, by the changes' ids."""
    erasures: dict[int, list[Erasure]] = {}
    for row in _run(using, "queries/audit/seals/erasures_of", ids=[change.id for change in changes]):
        erasures.setdefault(row[1], []).append(proof.Erasure(*row))
    return erasures


def _locked(using: str, step: Callable[[ChainState], bool]) -> bool:
    """Run a step under the chain's lock, in a transaction of its own; return True if it added a seal."""
    with transaction.atomic(using):
        _run(using, "queries/audit/seals/lock")
        # A statement of its own: the snapshot of the locking one is older than the seals that its lock waited for.
        rows = _run(using, "queries/audit/seals/standing")
        # One step for each lock: an interruption loses a single seal.
        return bool(rows) and step(ChainState(*rows[0]))


def _seal_deleted(using: str, state: ChainState, keep: float) -> bool:
    """Seal the ids that retention has deleted, and delete the lists of seals without any change left."""
    if not keep:
        return False
    before, gone = proof.now() - int(keep * MICROSECONDS), max(state.dropped, state.gone)
    past = state.past if state.gone_past is None else state.gone_past
    _run(using, "queries/audit/seals/strip", before=before, dropped=gone, past=state.past)
    if not state.last or (gone, state.past) == (state.gone, past):
        return False
    return _add(using, state, "retention", first=state.past, last=gone, newest=before)


def _seal_erasures(using: str, state: ChainState, size: int) -> bool:
    rows = _run(using, "queries/audit/seals/erasures", low=state.erasures + 1, high=LAST_ID, at_most=size)
    erasures = [proof.Erasure(*row) for row in rows]
    return bool(erasures) and _add(
        using,
        state,
        "erasures",
        first=erasures[0].id,
        last=erasures[-1].id,
        ids=[erasure.id for erasure in erasures],
        leaves=b"".join(map(proof.erasure, erasures)),
    )


def _seal_imported(using: str, state: ChainState, size: int, max_bytes: int) -> bool:
    if not state.past:
        return False
    ids = [id_ for (id_,) in _run(using, "queries/audit/seals/next_imported", at_most=size, bytes=max_bytes)]
    return bool(ids) and _seal_these(using, state, "imported", ids, first=ids[0])


def _seal_changes(using: str, state: ChainState, age: float, size: int, max_bytes: int) -> bool:
    after = max(state.changes, state.dropped)
    parts = {"after": after, "until": state.until, "age": age, "at_most": size, "bytes": max_bytes}
    # The seal begins right after the previous one, even if ids between are unused: a gap could hide a deletion.
    ids = [id_ for (id_,) in _run(using, "queries/audit/seals/next_changes", **parts)]
    return bool(ids) and _seal_these(using, state, "changes", ids, first=state.changes + 1)


def _seal_these(using: str, state: ChainState, kind: str, ids: list[int], *, first: int) -> bool:
    # Before the requests are read: from now on nothing may alter their rows, which the digests cover.
    _run(using, "queries/audit/seals/close_requests", ids=ids)
    changes = [proof.Change(*row) for row in _run(using, "queries/audit/seals/imported", ids=ids)]
    # From the system's generator: an erased row could be guessed if its salt could be.
    salts = [os.urandom(proof.SALT_SIZE) for _ in changes]
    times = [proof.microseconds(change.at) for change in changes]
    return _add(
        using,
        state,
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
    state: ChainState,
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
    """Add a seal to the chain; return True."""
    ids, times = ids or [], times or []
    unchained = proof.Seal(
        id=state.last + 1,
        kind=kind,
        first=first,
        last=last,
        newest=newest,
        ids=ids,
        times=times,
        leaves=leaves,
        salts=salts,
        # Without the salts: an erasure overwrites them, and the seal must still verify.
        digest=proof.listed(ids, times, leaves),
        hash=b"",
        sealed=proof.now(),
    )
    values = unchained._replace(hash=proof.chained(bytes(state.hash), unchained))._asdict()
    # Bound: the lists are large.
    sql.run_bound(using, sql.template("queries/audit/seals/add"), **values)
    return True


def _run(using: str, name: str, **parts: Any) -> list[tuple[Any, ...]]:
    return sql.run(using, sql.compose(name, **parts))
