"""The cursor: opaque text that names a set of transactions already seen."""

from __future__ import annotations

import base64
import binascii
import dataclasses
from typing import TYPE_CHECKING

from pubsubpull import exceptions

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT = 2
"""The first byte of an encoded cursor."""

LARGEST_ID = 2**63 - 1
"""The largest bigint of PostgreSQL. An xid8 may be larger, but no cluster lives that long."""

NONE = "This is no cursor: pass it on exactly as it was given."

TEXT_LIMIT = 64_000
"""The most characters of a cursor. A snapshot of 10,000 running transactions takes about 14,000."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The transactions that had ended at one moment: all below `xmax` but those of `running`."""

    xmin: int
    """The lowest transaction that ran."""
    xmax: int
    """The first transaction that had not begun."""
    running: tuple[int, ...] = ()
    """The transactions that ran, sorted."""

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """Return the snapshot of PostgreSQL's text, `xmin:xmax:xip,xip`."""
        xmin, xmax, running = text.split(":")
        return cls(
            xmin=int(xmin),
            xmax=int(xmax),
            running=tuple(int(x) for x in running.split(",")) if running else (),
        )

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, self.running))}"

    def covers(self, earlier: Snapshot) -> bool:
        """True if every transaction that `earlier` has seen is seen here too."""
        unseen = set(earlier.running)
        missing = (x for x in self.running if x < earlier.xmax)
        beyond = range(self.xmax, earlier.xmax)
        # Before the loop below: a cursor that was made up may name an xmax that is any number of steps away.
        if len(beyond) > len(unseen):
            return False
        return unseen.issuperset(missing) and unseen.issuperset(beyond)


NOTHING = Snapshot(xmin=1, xmax=1)
"""The snapshot that has seen no transaction."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Window:
    """The rest of a read between two snapshots."""

    seq: int
    """The `seq` of the cursor that follows the window."""
    floor: int
    """The `floor` of the cursor that follows the window."""
    snapshot: Snapshot
    """The later of the two snapshots."""
    last: int
    """The id up to which the changes have been read."""
    top: int
    """The highest id of the read."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cursor:
    """The position of a reader: it has seen the changes of a snapshot and, within a window, some later ones."""

    history: int
    """The token of the log's history."""
    tick: int
    """The newest tick that the cursor is made of; 0 if the reader has seen nothing."""
    seq: int
    """An id that the sequence had reached before the snapshot was taken."""
    floor: int
    """An id at or below which every transaction had ended at the snapshot."""
    snapshot: Snapshot
    """The transactions whose changes the reader has seen."""
    window: Window | None = None
    """The read that has begun, if any: the reader has also seen its changes up to `window.last`."""

    @property
    def settled(self) -> bool:
        """True if all changes that follow have ids above `seq`, so that there are no stragglers."""
        return self.window is None and self.floor >= self.seq

    def encode(self) -> str:
        """Return the cursor as base64url text: a format byte, then varints."""
        numbers = [self.history, self.tick, self.floor, self.seq - self.floor, *_numbers(self.snapshot)]
        if self.window:
            window = self.window
            numbers += [
                window.floor,
                window.seq - window.floor,
                *_numbers(window.snapshot),
                window.last,
                window.top,
            ]
        data = bytes([FORMAT]) + b"".join(map(_varint, numbers))
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Return the cursor of a text that `encode` wrote. Raises `CursorInvalid` for any other text."""
        try:
            return _decode(text)
        # The text comes from callers: each way in which it can be wrong is the same error to them.
        except (ValueError, binascii.Error, StopIteration) as error:
            raise exceptions.CursorInvalid(NONE) from error


def reached(text: str) -> int:
    """Return the id that the reader of a cursor has come to. Raises `CursorInvalid`.

    For many cursors of one's own: it takes less time than `decode`, which checks all that a cursor says.
    """
    try:
        _, _, floor, above, _, _, running, *rest = _read(text)
    except (ValueError, binascii.Error) as error:
        raise exceptions.CursorInvalid(NONE) from error
    window = rest[running:]
    return window[-2] if len(window) > 1 else floor + above


def _read(text: str) -> list[int]:
    """Return the numbers of a cursor's text."""
    if len(text) > TEXT_LIMIT:
        raise ValueError("too long")
    data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if not data or data[0] != FORMAT:
        raise ValueError("unknown format")
    return list(_varints(data[1:]))


def _decode(text: str) -> Cursor:
    reader = iter(_read(text))
    history, tick, floor, above = next(reader), next(reader), next(reader), next(reader)
    seq, snapshot = _bounded(floor + above), _snapshot(reader)
    cursor = Cursor(history=history, tick=tick, seq=seq, floor=floor, snapshot=snapshot)
    rest = list(reader)
    if rest:
        reader = iter(rest)
        floor, above = next(reader), next(reader)
        window = Window(
            seq=_bounded(floor + above),
            floor=floor,
            snapshot=_snapshot(reader),
            last=next(reader),
            top=next(reader),
        )
        if next(reader, None) is not None:
            raise ValueError("too much")
        cursor = dataclasses.replace(cursor, window=window)
    # One text for each cursor: ETags and equal questions of waiting calls compare texts.
    if cursor.encode() != text:
        raise ValueError("not in the one form that encode writes")
    return cursor


def _numbers(snapshot: Snapshot) -> Iterator[int]:
    """Yield a snapshot as numbers, most of them small: a running transaction is its distance from the one before."""
    # Small numbers take one byte each, which keeps a cursor of many running transactions fit for a URL.
    yield from (snapshot.xmin, snapshot.xmax - snapshot.xmin, len(snapshot.running))
    before = snapshot.xmin
    for xid in snapshot.running:
        yield xid - before
        before = xid


def _snapshot(numbers: Iterator[int]) -> Snapshot:
    xmin, span, count = next(numbers), next(numbers), next(numbers)
    xmax = _bounded(xmin + span)
    running = []
    xid = xmin
    # Not `[next(numbers) for ...]` of a made-up count: the loop ends with the text, by StopIteration.
    for place in range(count):
        step = next(numbers)
        if place and not step:
            raise ValueError("a transaction twice")
        xid = _bounded(xid + step)
        running.append(xid)
    if xmin < 1 or (running and running[-1] >= xmax):
        raise ValueError("no snapshot")
    return Snapshot(xmin=xmin, xmax=xmax, running=tuple(running))


def _bounded(number: int) -> int:
    if number > LARGEST_ID:
        raise ValueError("out of range")
    return number


def _varint(number: int) -> bytes:
    """Return a number in groups of seven bits, the lowest first: 0 → 00, 127 → 7f, 128 → 80 01, 300 → ac 02."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _varints(data: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield _bounded(number)
            number = shift = 0
        # As soon as possible: a text of set bits would otherwise build a number of any size.
        elif shift > 63:
            raise ValueError("out of range")
    if shift:
        raise ValueError("cut short")
