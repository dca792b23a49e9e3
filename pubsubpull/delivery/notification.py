"""Notifications: pages of changes or rows, and the queue of changes that they are cut from."""

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

NOTIFICATION_SIZE = 1_000_000
"""The most characters of items in a notification; a larger change goes by itself."""
READ_AHEAD = 1000
"""How many changes a queue may hold; once it is full, the lease reads on when half of them are gone."""
READ_AHEAD_SIZE = 8_000_000
"""How many characters of changes a queue may hold."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Notification:
    """A page to be sent."""

    id: str
    """The same for the same content, however often it is sent."""
    body: bytes
    """The encoded page."""
    attributes: Mapping[str, str]
    """The facts that go beside the body, such as its content type."""
    count: int
    """How many changes or rows the page has."""
    cursor: Cursor
    """The cursor after the page."""
    text: str
    """The cursor that the receiver stores with the page, as text."""
    rows: tuple[Row, ...] = ()
    """The changes or rows."""
    snapshot: formats.Snapshot | None = None
    """Of a backfill: the model, and whether the page is its first or last."""
    following: BackfillPosition | None = None
    """Of a backfill: the position once the page was taken; None after the last row."""
    beyond: BackfillPosition | None = None
    """Of a backfill: the position once the page was refused and set aside; None after the last row."""

    def message(self, change: ChangeRef | None = None) -> Message:
        """Return the message for a transport: of the whole page, or of its one `change`."""
        attributes = dict(self.attributes)
        content_type = attributes.pop("content-type")
        return Message(id=self.id, body=self.body, content_type=content_type, attributes=attributes, change=change)

    @property
    def edges(self) -> set[int]:
        """The versions of a model's first and last row, which no other row may overtake."""
        first = self.snapshot is not None and self.snapshot.first
        last = self.snapshot is not None and self.snapshot.last
        return {row.version for row in (*self.rows[: int(first)], *self.rows[len(self.rows) - int(last) :])}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Redelivery:
    """A dead letter that its consumer wants sent again."""

    id: int
    """The dead letter's id."""
    row: Row
    """The change itself."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Style:
    """The form of a subscription's notifications."""

    subscription: str
    """The subscription's id, from which, with the versions, the notifications' ids are derived."""
    name: str
    """The subscription's name, which the notifications carry."""
    form: str = formats.PAGE_FORMAT
    """The format: a page or CloudEvents."""


@dataclasses.dataclass(slots=True)
class _Part:
    """A subscription's part of one read of the log."""

    read: Rows
    """The read."""
    rows: list[Row]
    """The changes for the subscription."""
    next: int = 0
    """The index of the first change that is not yet cut."""


class Pending:
    """The queue of changes that were read for a subscription and not yet cut into notifications."""

    def __init__(self) -> None:
        self.count = 0
        self.size = 0
        self._parts: collections.deque[_Part] = collections.deque()

    def add(self, read: Rows, rows: list[Row]) -> None:
        """Append a part of a read, which has at least one change."""
        self._parts.append(_Part(read, rows))
        self.count += len(rows)
        self.size += sum(len(row.item) for row in rows)

    @property
    def has_room(self) -> bool:
        """True if the lease may read on: half of a full queue is gone."""
        return self.count <= READ_AHEAD // 2 and self.size <= READ_AHEAD_SIZE // 2

    @property
    def is_full(self) -> bool:
        """True if the lease may read no further for now."""
        return self.count >= READ_AHEAD or self.size >= READ_AHEAD_SIZE

    def cut(self, *, batch: int, style: Style, previous: str) -> Notification:
        """Remove up to `batch` changes, at least one, and return their notification."""
        rows, cursor = self._take(batch)
        more = bool(self._parts) or cursor.window is not None
        text = cursor.encode()
        said = {"previous": previous, "cursor": text, "more": more}
        return page(rows, style=style, cursor=cursor, text=text, said=said)

    def clear(self) -> None:
        """Empty the queue."""
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
                # Only behind a first one: a change above the limit could otherwise never be sent.
                if taken and size > NOTIFICATION_SIZE:
                    break
                taken.append(row)
                part.next += 1
            finished = part.next == len(part.rows)
            if finished:
                self._parts.popleft()
            if not finished or not self._parts or len(taken) >= batch:
                break
            first = self._parts[0].rows[0]
            if size + len(first.item) > NOTIFICATION_SIZE:
                break
        self.count -= len(taken)
        self.size -= sum(len(row.item) for row in taken)
        # At the end of a read, its own cursor: it passes the changes that the subscription did not ask for, too.
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

    `text` is the cursor that the receiver stores with it. `said` holds further fields of its `formats.Envelope`.
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
    """Return a notification's id, derived from the subscription's id and the content."""
    # From nothing else: a receiver drops repeats by this id, also those that another worker sends.
    text = f"{subscription}:{','.join(map(str, versions))}"
    if snapshot is not None:
        text += f":{json.dumps(dataclasses.astuple(snapshot))}"
    return f"msg_{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def of_one(row: Row, whole: Notification, *, style: Style) -> Notification:
    """Return the notification of one change of a page, for a callback that takes changes one by one.

    It names no cursor: other changes of the page may be under way at the same time.
    """
    snapshot = whole.snapshot and dataclasses.replace(
        whole.snapshot,
        first=whole.snapshot.first and row is whole.rows[0],
        last=whole.snapshot.last and row is whole.rows[-1],
    )
    return page([row], style=style, cursor=whole.cursor, text=whole.text, snapshot=snapshot, said={"single": True})
