"""Notifications: what waits to be sent to a subscription, cut into pages."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any

from pubsubpull.transports.base import Message
from pubsubpull.wire import formats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pubsubpull.log.cursor import Cursor
    from pubsubpull.log.feed import Rows
    from pubsubpull.subscriptions.backfill_position import BackfillPosition
    from pubsubpull.transports.base import ChangeRef
    from pubsubpull.wire.items import Row

SIZE = 1_000_000
"""How many characters of items a notification holds; one change may be larger by itself."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Notification:
    """A page to be pushed: its id, its body and its attributes, its changes, and the cursor after it."""

    id: str
    body: bytes
    attributes: Mapping[str, str]
    count: int
    cursor: Cursor
    text: str
    rows: tuple[Row, ...] = ()
    snapshot: formats.Snapshot | None = None
    following: BackfillPosition | None = None
    """Of rows, the place after them; None where they were the last."""
    beyond: BackfillPosition | None = None
    """Of rows, the place after them where the receiver did not take them, and they were set aside."""

    def message(self, change: ChangeRef | None = None) -> Message:
        """Return what a transport is to send: the page, or the one `change` that it has, which goes by itself."""
        attributes = dict(self.attributes)
        content_type = attributes.pop("content-type")
        return Message(id=self.id, body=self.body, content_type=content_type, attributes=attributes, change=change)

    @property
    def edges(self) -> set[int]:
        """The versions of the first and the last row of a model: what goes before one and after the other is taken."""
        first = self.snapshot is not None and self.snapshot.first
        last = self.snapshot is not None and self.snapshot.last
        return {row.version for row in (*self.rows[: int(first)], *self.rows[len(self.rows) - int(last) :])}


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
        text = cursor.encode()
        said = {"previous": previous, "cursor": text, "more": more}
        return page(rows, style=style, cursor=cursor, text=text, said=said)

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
    rows: Sequence[Row],
    *,
    style: Style,
    cursor: Cursor,
    text: str,
    count: int | None = None,
    snapshot: formats.Snapshot | None = None,
    said: Mapping[str, Any] | None = None,
) -> Notification:
    """Return the notification of these changes.

    `text` is the cursor that the receiver is at after it, `said` what else its envelope says (see `formats.Envelope`).
    """
    envelope = formats.Envelope(subscription=style.name, history=cursor.history, snapshot=snapshot, **(said or {}))
    body, attributes = formats.encode(rows, envelope, style.form)
    return Notification(
        id=identify(style.subscription, [row.version for row in rows], snapshot),
        body=body,
        attributes=attributes,
        count=len(rows) if count is None else count,
        cursor=cursor,
        text=text,
        rows=tuple(rows),
        snapshot=snapshot,
    )


def identify(subscription: str, versions: list[int], snapshot: formats.Snapshot | None = None) -> str:
    """Return a notification's id, made of the subscription's and of what is in it."""
    text = f"{subscription}:{','.join(map(str, versions))}"
    if snapshot is not None:
        text += f":{json.dumps(dataclasses.astuple(snapshot))}"
    return f"msg_{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def of_one(row: Row, whole: Notification, *, style: Style) -> Notification:
    """Return a notification of one change of a page, for a callback that takes one at a time.

    It says nothing of cursors: others of the page may be on their way at the same time.
    """
    snapshot = whole.snapshot and dataclasses.replace(
        whole.snapshot,
        first=whole.snapshot.first and row is whole.rows[0],
        last=whole.snapshot.last and row is whole.rows[-1],
    )
    return page([row], style=style, cursor=whole.cursor, text=whole.text, snapshot=snapshot, said={"single": True})
