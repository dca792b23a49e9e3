"""Notifications: what waits to be sent to a subscription, cut into pages."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
from typing import TYPE_CHECKING

from pubsubpull.subscribe import formats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pubsubpull.capture.cursor import Cursor
    from pubsubpull.capture.feed import Row, Rows
    from pubsubpull.subscribe.initial import Place

SIZE = 1_000_000
"""How many characters of items a notification holds; one change may be larger by itself."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Notification:
    """A page to be pushed: its id, its body and what its headers say of that, its changes, and the cursor after it.

    `following` is the place after it where it is one of the rows that come before all changes; None at their end.
    """

    id: str
    body: bytes
    headers: Mapping[str, str]
    count: int
    cursor: Cursor
    text: str
    rows: tuple[Row, ...] = ()
    following: Place | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Style:
    """How a subscription's notifications look.

    `subscription` is its id, of which with the versions theirs are made: the same changes have the same id whenever
    and by whomever they are sent, and others another.
    """

    subscription: str
    name: str
    form: str = formats.PAGE


@dataclasses.dataclass(slots=True)
class _Part:
    """A subscription's part of one read of the log, from the place `next` on."""

    read: Rows
    rows: list[Row]
    next: int = 0


class Pending:
    """The changes that have been read for a subscription and not yet been cut, in order."""

    def __init__(self) -> None:
        self.count = 0
        self.size = 0
        self._parts: collections.deque[_Part] = collections.deque()

    def add(self, read: Rows, rows: list[Row]) -> None:
        """Put a part of a read behind the others; it has at least one change."""
        self._parts.append(_Part(read, rows))
        self.count += len(rows)
        self.size += sum(len(row.item) for row in rows)

    def cut(self, *, batch: int, style: Style, previous: str) -> Notification:
        """Take at most `batch` changes off and make a notification of them. There must be some."""
        rows, cursor = self._take(batch)
        more = bool(self._parts) or cursor.window is not None
        return page(
            rows,
            style=style,
            previous=previous,
            cursor=cursor,
            text=cursor.encode(),
            more=more,
        )

    def clear(self) -> None:
        """Forget all."""
        self.count = 0
        self.size = 0
        self._parts.clear()

    def _take(self, batch: int) -> tuple[list[Row], Cursor]:
        taken: list[Row] = []
        size = 0
        while True:
            part = self._parts[0]
            while part.next < len(part.rows) and len(taken) < batch:
                row = part.rows[part.next]
                size += len(row.item)
                if taken and size > SIZE:
                    break
                taken.append(row)
                part.next += 1
            finished = part.next == len(part.rows)
            if finished:
                self._parts.popleft()
            if not finished or not self._parts or len(taken) >= batch:
                break
            first = self._parts[0].rows[0]
            if size + len(first.item) > SIZE:
                break
        self.count -= len(taken)
        self.size -= sum(len(row.item) for row in taken)
        cursor = part.read.cursor if finished else part.read.cursor_after(taken[-1].version)
        return taken, cursor


def page(
    rows: Sequence[Row], *, style: Style, previous: str, cursor: Cursor, text: str, more: bool, single: bool = False
) -> Notification:
    """Return the notification of these changes. `text` is the cursor that the receiver is told."""
    envelope = formats.Envelope(
        subscription=style.name, previous=previous, cursor=text, more=more, history=cursor.history, single=single
    )
    body, headers = formats.encode(rows, envelope, style.form)
    return Notification(
        id=identify(style.subscription, [row.version for row in rows]),
        body=body,
        headers=headers,
        count=len(rows),
        cursor=cursor,
        text=text,
        rows=tuple(rows),
    )


def identify(subscription: str, versions: list[int]) -> str:
    """Return a notification's id, made of the subscription's and the versions in it."""
    digest = hashlib.sha256(f"{subscription}:{','.join(map(str, versions))}".encode())
    return f"msg_{digest.hexdigest()[:32]}"


def of_one(row: Row, whole: Notification, *, style: Style, told: str) -> Notification:
    """Return a notification of one change of a page, for a callback that takes one at a time.

    Its cursors are the one before the page: others of it may be on their way at the same time.
    """
    more = row is not whole.rows[-1]
    return page([row], style=style, previous=told, cursor=whole.cursor, text=told, more=more, single=True)
