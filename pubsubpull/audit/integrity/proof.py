"""The digests of the chain of seals, as pure functions of rows. A verifier computes them, and trusts no database.

The digest of a change combines two digests: one of the columns that stay for ever, and one of its rows with a random
salt. After the rows are erased, the first can still be computed, and the second is kept in the record of the erasure.
The salt is deleted with the rows, so nobody can test guesses of the erased rows against the digest.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from pubsubpull.wire import jsontext
from pubsubpull.wire.ops import DELETE, ERASE, ERASED_DELETE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SALT_SIZE = 16
"""Bytes of a change's salt."""
DIGEST_SIZE = 32
"""Bytes of a digest."""
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)


# Changes and erasures are tuples, since digests are made of slices: the fields' order is part of each digest.
class Change(NamedTuple):
    """A change. Texts, times among them, are as PostgreSQL writes them."""

    id: int
    xid: str
    at: str
    model: str
    op: str
    key: str | None
    request_id: str | None
    old: str | None
    new: str | None


class Erasure(NamedTuple):
    """The record of an erasure of one change."""

    id: int
    change_id: int
    model: str
    key: str | None
    op: str
    """The change's operation before the erasure."""
    columns: str | None
    """The erased columns; None if the whole rows were erased."""
    digest: bytes
    """The digest of the change's rows before the erasure."""
    remains: bytes | None
    """The digest of the rows after the erasure; None if no row is left."""
    salt: bytes | None
    """The salt of `remains`."""
    erased: str
    """The time of the erasure."""
    erased_by: str
    """The name of the person behind the erasure."""
    reason: str


class Seal(NamedTuple):
    """A seal of the chain. Retention deletes its lists once all of its changes are deleted."""

    id: int
    kind: str
    """`changes`, `imported`, `erasures` or `retention`."""
    first: int
    """The first id that the seal covers."""
    last: int
    """The last id that the seal covers."""
    newest: int
    """The time of the newest sealed change, in microseconds since 1970."""
    ids: list[int] | None
    """The ids of the sealed changes or erasures."""
    times: list[int] | None
    """The times of the sealed changes, in microseconds since 1970."""
    leaves: bytes | None
    """The digests of the sealed changes or erasures, one after the other."""
    salts: bytes | None
    """The salts of the sealed changes, one after the other."""
    digest: bytes
    """The digest of the three lists `ids`, `times` and `leaves`."""
    hash: bytes
    """The hash of this seal and of all before it."""
    sealed: int
    """The time of sealing, in microseconds since 1970."""

    def leaf(self, position: int) -> bytes:
        """Return the digest at a position of the lists."""
        return (self.leaves or b"")[position * DIGEST_SIZE : (position + 1) * DIGEST_SIZE]

    def salt(self, position: int) -> bytes:
        """Return the salt at a position of the lists."""
        return (self.salts or b"")[position * SALT_SIZE : (position + 1) * SALT_SIZE]


def chained(before: bytes, seal: Seal) -> bytes:
    """Return the hash of a seal; `before` is the hash of the previous seal, empty for the first."""
    return _digest(
        before.hex(), seal.id, seal.kind, seal.first, seal.last, seal.newest, seal.sealed, bytes(seal.digest).hex()
    )


def listed(ids: Sequence[int], times: Sequence[int], leaves: bytes) -> bytes:
    """Return the digest of a seal's three lists."""
    return _digest(list(ids), list(times), hashlib.sha256(leaves).hexdigest())


def request(row: Sequence[Any]) -> str:
    """Return the digest of a request's row, in hexadecimal digits."""
    return _digest(*row).hex()


def leaf(change: Change, erasures: Sequence[Erasure], request_: str | None, salt: bytes) -> bytes:
    """Return the digest of a change as it was before its first erasure. `erasures` are its erasures, in order."""
    op = erasures[0].op if erasures else change.op
    rows = bytes(erasures[0].digest) if erasures else digest_of_rows(change, salt)
    return hashlib.sha256(_digest(*change[:4], op, *change[5:7], request_) + rows).digest()


def is_erased(change: Change, erasures: Sequence[Erasure]) -> bool:
    """Return True if a change is in the state that its erasures, in order, have left."""
    last = erasures[-1]
    op = last.op if last.columns is not None else ERASED_DELETE.letter if last.op == DELETE.letter else ERASE.letter
    # Each erasure must begin with the state that the one before it left.
    if any(later.op != erasures[0].op or later.digest != earlier.remains for earlier, later in _pairs(erasures)):
        return False
    if change.op != op or (last.columns is None and not _is_key(change)):
        return False
    if last.remains is None:
        return change.old is None and change.new is None
    return digest_of_rows(change, bytes(last.salt or b"")) == last.remains


def _is_key(change: Change) -> bool:
    """Return True if a change has no row, or for a delete a row of the key's columns alone."""
    if change.new is not None or change.old is None:
        return change.new is None
    row = _read(change.old)
    if not isinstance(row, dict):
        return False
    values = list(row.values())
    if len(values) <= 1:
        return not values or values[0] == change.key or _texts(_read(f"[{change.key}]")) == _texts(values)
    return _texts(values) == _texts(_read(change.key or ""))


def _read(text: str) -> Any:
    """Return the value of JSON text; None if it is no JSON."""
    # An altered log may have any text. That is a finding, not an error of the verification.
    try:
        return jsontext.row(text)
    except ValueError:
        return None


def _texts(values: Any) -> list[str] | None:
    """Return the sorted JSON texts of a list's values; None if `values` is no list."""
    return sorted(map(jsontext.dumps, values)) if isinstance(values, list) else None


def digest_of_rows(change: Change, salt: bytes) -> bytes:
    """Return the digest of a change's rows. The SQL function `pubsubpull_rows_digest` computes the same."""
    # JSON texts never contain the character 1, so it separates old and new without ambiguity.
    return hashlib.sha256(salt + f"{change.old or ''}\x01{change.new or ''}".encode()).digest()


def erasure(row: Erasure) -> bytes:
    """Return the digest of the record of an erasure."""
    # Without the salt, which a later erasure of the same change deletes.
    remains = None if row.remains is None else bytes(row.remains).hex()
    return _digest(*row[:6], bytes(row.digest).hex(), remains, row.erased, row.erased_by, row.reason)


def microseconds(text: str) -> int:
    """Return a time as microseconds since 1970; 0 for a time out of Python's range, such as one BC."""
    try:
        return (dt.datetime.fromisoformat(text) - EPOCH) // MICROSECOND
    except ValueError:
        return 0


def now() -> int:
    """Return the time of this machine, in microseconds since 1970. The clock of the database cannot be trusted."""
    return time.time_ns() // 1000


def _pairs(erasures: Sequence[Erasure]) -> Iterable[tuple[Erasure, Erasure]]:
    return itertools.pairwise(erasures)


def _digest(*values: Any) -> bytes:
    """Return the digest of values, as JSON: different lists of values never have the same text."""
    # The form of the JSON must stay: in any other, the seals made so far would not verify.
    return hashlib.sha256(json.dumps(values, separators=(",", ":")).encode()).digest()
