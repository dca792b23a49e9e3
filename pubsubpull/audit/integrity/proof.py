"""The digests of the chain of seals, as pure functions of rows: a client makes them, and believes no database.

A change's digest is made of two: that of what stays for ever, and that of its rows with a random salt. So the rows can
be erased: the first is made again, the second has been kept, and without its salt nobody can try what the rows were.
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

SALT = 16
"""The bytes of a change's salt."""
SIZE = 32
"""The bytes of a digest."""
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)


class Change(NamedTuple):
    """A change, as PostgreSQL writes its values."""

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
    """What was erased of a change: `op` and `digest` are what it had, `remains` and `salt` are of what is left."""

    id: int
    change_id: int
    model: str
    key: str | None
    op: str
    columns: str | None
    digest: bytes
    remains: bytes | None
    salt: bytes | None
    erased: str
    erased_by: str
    reason: str


class Seal(NamedTuple):
    """A seal of the chain. Of one whose changes have all gone by retention the lists are gone too."""

    id: int
    kind: str
    first: int
    last: int
    newest: int
    ids: list[int] | None
    times: list[int] | None
    leaves: bytes | None
    salts: bytes | None
    digest: bytes
    hash: bytes
    sealed: int

    def leaf(self, place: int) -> bytes:
        """Return the digest of what is listed at a place."""
        return (self.leaves or b"")[place * SIZE : (place + 1) * SIZE]

    def salt(self, place: int) -> bytes:
        """Return the salt of the change at a place."""
        return (self.salts or b"")[place * SALT : (place + 1) * SALT]


def chained(before: bytes, seal: Seal) -> bytes:
    """Return the hash of a seal, by that of the one before it."""
    return _digest(
        before.hex(), seal.id, seal.kind, seal.first, seal.last, seal.newest, seal.sealed, bytes(seal.digest).hex()
    )


def listed(ids: Sequence[int], times: Sequence[int], leaves: bytes) -> bytes:
    """Return the digest of a seal's lists."""
    return _digest(list(ids), list(times), hashlib.sha256(leaves).hexdigest())


def request(row: Sequence[Any]) -> str:
    """Return the digest of a request: of all that is known of it."""
    return _digest(*row).hex()


def leaf(change: Change, erasures: Sequence[Erasure], request_: str | None, salt: bytes) -> bytes:
    """Return the digest of a change as it was before anything of it was erased."""
    op = erasures[0].op if erasures else change.op
    rows = bytes(erasures[0].digest) if erasures else digest_of_rows(change, salt)
    return hashlib.sha256(_digest(*change[:4], op, *change[5:7], request_) + rows).digest()


def is_erased(change: Change, erasures: Sequence[Erasure]) -> bool:
    """Say whether a change is what its erasures, in order, have left of it."""
    last = erasures[-1]
    op = last.op if last.columns is not None else ERASED_DELETE.letter if last.op == DELETE.letter else ERASE.letter
    if any(later.op != erasures[0].op or later.digest != earlier.remains for earlier, later in _pairs(erasures)):
        return False
    if change.op != op or (last.columns is None and not _is_key(change)):
        return False
    if last.remains is None:
        return change.old is None and change.new is None
    return digest_of_rows(change, bytes(last.salt or b"")) == last.remains


def _is_key(change: Change) -> bool:
    """Say whether a change has no row, or of a delete the values of the key's columns, and no more."""
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
    """Return the value of JSON text; None where an altered log has what is none."""
    try:
        return jsontext.row(text)
    except ValueError:
        return None


def _texts(values: Any) -> list[str] | None:
    """Return the JSON text of each value of a list, whatever their order; None of what is no list."""
    return sorted(map(jsontext.dumps, values)) if isinstance(values, list) else None


def digest_of_rows(change: Change, salt: bytes) -> bytes:
    """Return the digest of a change's rows, as `pubsubpull_rows_digest` makes it too. JSON has no character 1."""
    return hashlib.sha256(salt + f"{change.old or ''}\x01{change.new or ''}".encode()).digest()


def erasure(row: Erasure) -> bytes:
    """Return the digest of the record of an erasure; its salt is none of it, since that goes."""
    remains = None if row.remains is None else bytes(row.remains).hex()
    return _digest(*row[:6], bytes(row.digest).hex(), remains, row.erased, row.erased_by, row.reason)


def microseconds(text: str) -> int:
    """Return a time as microseconds since 1970. One that Python has no word for is as old as can be."""
    try:
        return (dt.datetime.fromisoformat(text) - EPOCH) // MICROSECOND
    except ValueError:
        return 0


def now() -> int:
    """Return the time by this machine's clock, as microseconds since 1970: the database's is not to be believed."""
    return time.time_ns() // 1000


def _pairs(erasures: Sequence[Erasure]) -> Iterable[tuple[Erasure, Erasure]]:
    return itertools.pairwise(erasures)


def _digest(*values: Any) -> bytes:
    """Return the digest of values: JSON tells a text from a number, null from an empty text, and where each ends."""
    return hashlib.sha256(json.dumps(values, separators=(",", ":")).encode()).digest()
