"""A lease: one subscription in a worker's hands, the checkpoint it has come to, and the queue of what waits for it."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from typing import TYPE_CHECKING

from pubsubpull.delivery import bisect, rate_limit
from pubsubpull.delivery.notification import Pending, Style
from pubsubpull.delivery.repeats import Rewinds
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import spec
from pubsubpull.subscriptions.models import Subscription
from pubsubpull.transports.base import Target, takes_single
from pubsubpull.wire.ops import LETTERS

if TYPE_CHECKING:
    import uuid

    from pubsubpull.delivery.bisect import Search
    from pubsubpull.delivery.notification import Notification
    from pubsubpull.log.cursor import Cursor
    from pubsubpull.log.feed import Rows
    from pubsubpull.subscriptions.backfill_position import BackfillPosition
    from pubsubpull.transports.base import Key
    from pubsubpull.wire.items import Row

READ_AHEAD = 1000
"""A subscription with so many changes waiting reads no further until half of them are gone."""
READ_AHEAD_SIZE = 8_000_000
"""Nor does a subscription with so many characters of changes waiting."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Terms(spec.Options):
    """The subscription as it was when the worker took the lease: its options, and what goes with them.

    A change of any of these ends the lease, so they hold for as long as it does.
    """

    id: uuid.UUID
    """The subscription's id."""
    lease: int
    """The fencing token: a write that names an older one is refused."""
    name: str
    """The subscription's name, one of its consumer's."""
    consumer: str
    """The consumer's name."""
    consumer_id: int
    """The consumer's id."""
    granted: frozenset[str]
    """The models that the consumer may read, or `*`."""
    keys: tuple[Key, ...]
    """The keys that sign what is sent; none if they cannot be read."""

    def __str__(self) -> str:
        return f"{self.name} of {self.consumer}"

    @functools.cached_property
    def models(self) -> frozenset[str]:
        """The models whose changes are sent: those asked for, less those that are no longer granted."""
        return frozenset(model for model in self.wanted if self.may_have(model))

    @functools.cached_property
    def letters(self) -> frozenset[str]:
        """The letters in the log of the operations asked for."""
        return frozenset(LETTERS[op] for op in self.ops)

    @property
    def target(self) -> Target:
        """The receiver of what is sent."""
        return Target(address=self.callback, keys=self.keys)

    @property
    def style(self) -> Style:
        """The way that notifications are written."""
        return Style(subscription=str(self.id), name=self.name, form=self.form)

    @property
    def one_by_one(self) -> bool:
        """True if each change is a message of its own."""
        return takes_single(self.callback)

    def may_have(self, model: str) -> bool:
        """True if the consumer is granted the model or event."""
        return consumers.permits(self.granted, model)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What delivery has come to. Each field is a column of the subscription; times are unix seconds."""

    cursor: Cursor
    """The cursor from which delivery goes on."""
    told: str
    """The cursor that the receiver was last given; `cursor` may be ahead of it, by changes that it does not want."""
    initial: BackfillPosition | None
    """How far the rows have come that go before all changes; None if none are left."""
    consented: str
    """The callback whose receiver has consented."""
    state: str
    """The subscription's state."""
    attempts: int
    """How many attempts have failed since the last success."""
    failing_since: float | None
    """When the first of these attempts failed."""
    next_attempt: float | None
    """When the next attempt may be made, after a failure."""
    free_at: float | None
    """When the rates allow the next notification."""
    allowed_rate: int | None
    """How many notifications a minute the receiver allows; None for any number."""
    last_error: str
    """What the last failed attempt met."""
    last_delivered: float | None
    """When the receiver last took a change."""
    delivered: int
    """How many changes its receivers have taken, ever."""

    @property
    def failing(self) -> bool:
        """True if the last attempt failed."""
        return self.state == Subscription.State.FAILING

    @property
    def unverified(self) -> bool:
        """True if the receiver has yet to consent."""
        return self.state == Subscription.State.UNVERIFIED


@dataclasses.dataclass(frozen=True, kw_only=True)
class Redelivery:
    """A dead letter that its consumer wants tried again."""

    id: int
    """The dead letter's id."""
    row: Row
    """The change itself."""


@dataclasses.dataclass(eq=False, kw_only=True)
class Lease:
    """A subscription that this worker serves. Only this module, and the task that delivers, change its queue."""

    terms: Terms
    """The subscription as it was when it was taken."""
    checkpoint: Checkpoint
    """What delivery has come to. Replaced whole by each transition."""
    recorded: Checkpoint
    """The checkpoint that the database has."""
    pending: Pending = dataclasses.field(default_factory=Pending)
    """The changes that have been read and not yet been cut into notifications."""
    current: Notification | None = None
    """The notification that is being sent, until its receiver has taken it."""
    search: Search | None = None
    """The search for a change that the receiver does not take."""
    redeliveries: dict[int, Redelivery] = dataclasses.field(default_factory=dict)
    """The dead letters to be tried again, by their ids."""
    accepted: set[int] = dataclasses.field(default_factory=set)
    """The versions beyond the cursor that the receiver has taken, where changes are sent one by one."""
    rewinds: Rewinds = dataclasses.field(default_factory=Rewinds)
    """How often the receiver has sent delivery back, and to where."""
    task: asyncio.Task[None] | None = None
    """The task that delivers; None while nothing waits."""
    before: asyncio.Task[None] | None = None
    """The task of an earlier lease of the same subscription, which may still have a notification on its way."""
    ending: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    """Set when nothing more is to be sent."""
    dropped: bool = False
    """True once the lease is lost: nothing more may be recorded."""

    def __str__(self) -> str:
        return str(self.terms)

    @property
    def batch_limit(self) -> int:
        """How many changes the next notification may have: no more than the rates allow in a second."""
        limit = self.search.size if self.search else self.terms.batch
        if self.terms.one_by_one and self.checkpoint.allowed_rate is not None:
            limit = rate_limit.batch(limit, self.checkpoint.allowed_rate / 60)
        return rate_limit.batch(limit, self.terms.max_rate)

    @property
    def due_at(self) -> float | None:
        """When something may be sent again, by the last failure and by the rates; None for now."""
        return max(self.checkpoint.next_attempt or 0.0, self.checkpoint.free_at or 0.0) or None

    @property
    def has_room(self) -> bool:
        """True if it may read on."""
        return self.pending.count <= READ_AHEAD // 2 and self.pending.size <= READ_AHEAD_SIZE // 2

    @property
    def is_full(self) -> bool:
        """True if as much waits as may."""
        return self.pending.count >= READ_AHEAD or self.pending.size >= READ_AHEAD_SIZE

    @property
    def waits(self) -> bool:
        """True if there is something to send."""
        return bool(
            self.pending.count
            or self.current
            or self.redeliveries
            or self.checkpoint.unverified
            or self.checkpoint.initial
        )

    @property
    def is_idle(self) -> bool:
        """True if everything read for it has been delivered."""
        return self.task is None and not self.waits

    def add(self, read: Rows, rows: list[Row]) -> None:
        """Put its part of what was read behind what waits already."""
        self.pending.add(read, rows)

    def next(self) -> Notification | None:
        """Return the notification to send now: the one that was not yet taken, or the next; None if nothing waits."""
        if self.current is None and self.pending.count:
            self.current = self.pending.cut(
                batch=self.batch_limit, style=self.terms.style, previous=self.checkpoint.told
            )
        return self.current

    def next_at(self, count: int, *, now: float) -> float | None:
        """Return when the rates allow the next notification, once one of so many changes is sent now."""
        return rate_limit.next_at(
            self.checkpoint.free_at,
            changes=count,
            notifications=count if self.terms.one_by_one else 1,
            per_second=self.terms.max_rate,
            per_minute=self.checkpoint.allowed_rate,
            now=now,
        )

    def send(self, page: Notification | None) -> None:
        """Send a page that was not read from the log, before all that was."""
        self.current = page

    def note(self, checkpoint: Checkpoint) -> None:
        """Note another checkpoint; what is being sent stays."""
        self.checkpoint = checkpoint

    def advance(self, checkpoint: Checkpoint, *, search: Search | None = None) -> None:
        """Go on from a checkpoint with the next notification."""
        self.checkpoint, self.current, self.search = checkpoint, None, search

    def wrote(self, checkpoint: Checkpoint) -> None:
        """Note that the database has this checkpoint."""
        self.recorded = checkpoint

    def drop(self) -> None:
        """Note that the lease is lost: nothing more is to be sent or recorded."""
        self.dropped = True
        self.ending.set()

    def move(self, cursor: Cursor) -> None:
        """Go on from a cursor up to which it wanted nothing; the caller records that."""
        self.checkpoint = dataclasses.replace(self.checkpoint, cursor=cursor)
        self.recorded = dataclasses.replace(self.recorded, cursor=cursor)

    def halve(self) -> None:
        """Send the first half of the refused notification alone: the changes are read again."""
        if self.current is not None:
            self.search = bisect.narrowed(self.current.count)
        self.clear()

    def clear(self, *, keep_current: bool = False) -> None:
        """Forget what waits, and what is being sent unless it is to be sent again."""
        self.pending.clear()
        if not keep_current:
            self.current = None
