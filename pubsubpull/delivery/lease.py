"""A lease: one subscription that this worker serves, its checkpoint, and its queue of changes."""

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
    from pubsubpull.delivery.notification import Notification, Redelivery
    from pubsubpull.log.cursor import Cursor
    from pubsubpull.subscriptions.backfill_position import BackfillPosition
    from pubsubpull.transports.base import Key


@dataclasses.dataclass(frozen=True, kw_only=True)
class Terms(spec.Options):
    """The subscription as the worker claimed it: its options, its consumer and its keys.

    A change of any of them ends the lease, so they are fixed while the lease lasts.
    """

    id: uuid.UUID
    """The subscription's id."""
    lease: int
    """The fencing token: the database refuses a write with an older one."""
    name: str
    """The subscription's name, unique for its consumer."""
    consumer: str
    """The consumer's name."""
    consumer_id: int
    """The consumer's id."""
    granted: frozenset[str]
    """The models that the consumer may read, or `*`."""
    keys: tuple[Key, ...]
    """The keys that sign messages; none if they cannot be read."""

    def __str__(self) -> str:
        return f"{self.name} of {self.consumer}"

    @functools.cached_property
    def models(self) -> frozenset[str]:
        """The labels of the models to send: asked for, and still granted."""
        return frozenset(model for model in self.labels if self.may_have(model))

    @functools.cached_property
    def letters(self) -> frozenset[str]:
        """The operations to send, as their letters in the log."""
        return frozenset(LETTERS[op] for op in self.ops)

    @property
    def target(self) -> Target:
        """The receiver of the messages."""
        return Target(address=self.callback, keys=self.keys)

    @property
    def style(self) -> Style:
        """The form of the notifications."""
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
    """The progress of a delivery. Each field is a column of the subscription; times are unix seconds."""

    cursor: Cursor
    """The cursor from which delivery continues."""
    last_sent_cursor: str
    """The cursor that the receiver was last sent; `cursor` may be ahead by changes that were not asked for."""
    backfill: BackfillPosition | None
    """The position in the backfill; None if no rows are left."""
    consented: str
    """The callback that last gave its consent."""
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
    """The error of the last failed attempt."""
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


@dataclasses.dataclass(eq=False, kw_only=True)
class Lease:
    """A subscription that this worker serves. Only the methods of this class change its fields."""

    terms: Terms
    """The subscription as it was claimed."""
    checkpoint: Checkpoint
    """The progress of delivery. Each transition replaces it whole."""
    recorded: Checkpoint
    """The checkpoint in the database."""
    pending: Pending = dataclasses.field(default_factory=Pending)
    """The queue of changes that were read and not yet cut into notifications."""
    current: Notification | None = None
    """The notification under way, until the receiver has taken it."""
    search: Search | None = None
    """The search for a refused change, while one is under way."""
    redeliveries: dict[int, Redelivery] = dataclasses.field(default_factory=dict)
    """The dead letters to send again, by their ids."""
    accepted: set[int] = dataclasses.field(default_factory=set)
    """The versions beyond the cursor that the receiver has taken, if changes are sent one by one."""
    rewinds: Rewinds = dataclasses.field(default_factory=Rewinds)
    """The receiver's rewinds."""
    task: asyncio.Task[None] | None = None
    """The task that delivers; None while nothing is to be sent."""
    before: asyncio.Task[None] | None = None
    """The task of an earlier lease of the same subscription, which may still be sending."""
    ending: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    """Set when nothing more may be sent."""
    dropped: bool = False
    """True once the lease is lost: nothing more may be recorded."""

    def __str__(self) -> str:
        return str(self.terms)

    @property
    def batch_limit(self) -> int:
        """How many changes the next notification may have: at most as many as the rates allow in a second."""
        limit = self.search.size if self.search else self.terms.batch
        if self.terms.one_by_one and self.checkpoint.allowed_rate is not None:
            limit = rate_limit.batch(limit, self.checkpoint.allowed_rate / 60)
        return rate_limit.batch(limit, self.terms.max_rate)

    @property
    def due_at(self) -> float | None:
        """When the next send is due, by the last failure and by the rates; None for at once."""
        return max(self.checkpoint.next_attempt or 0.0, self.checkpoint.free_at or 0.0) or None

    @property
    def waits(self) -> bool:
        """True if there is something to send."""
        return bool(
            self.pending.count
            or self.current
            or self.redeliveries
            or self.checkpoint.unverified
            or self.checkpoint.backfill
        )

    @property
    def is_idle(self) -> bool:
        """True if all changes read for the lease have been delivered."""
        return self.task is None and not self.waits

    def next(self) -> Notification | None:
        """Return the notification under way, or cut the next from the queue; None if the queue is empty."""
        # Kept until it is taken: a page cut anew could have other changes under another id, and be taken twice.
        if self.current is None and self.pending.count:
            self.current = self.pending.cut(
                batch=self.batch_limit, style=self.terms.style, previous=self.checkpoint.last_sent_cursor
            )
        return self.current

    def next_at(self, count: int, *, now: float) -> float | None:
        """Return when the rates allow the next notification, after one of `count` changes."""
        return rate_limit.next_at(
            self.checkpoint.free_at,
            changes=count,
            notifications=count if self.terms.one_by_one else 1,
            per_second=self.terms.max_rate,
            per_minute=self.checkpoint.allowed_rate,
            now=now,
        )

    def send(self, page: Notification | None) -> None:
        """Send a page of the backfill next."""
        self.current = page

    def note(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint; the notification under way stays."""
        self.checkpoint = checkpoint

    def advance(self, checkpoint: Checkpoint, *, search: Search | None = None) -> None:
        """Replace the checkpoint, and continue with the next notification."""
        self.checkpoint, self.current, self.search = checkpoint, None, search

    def wrote(self, checkpoint: Checkpoint) -> None:
        """Note the checkpoint in the database."""
        self.recorded = checkpoint

    def drop(self) -> None:
        """Note that the lease is lost: nothing more may be sent or recorded."""
        self.dropped = True
        self.ending.set()

    def move(self, cursor: Cursor) -> None:
        """Continue from a cursor without changes before it; the caller records it."""
        # In both, since the caller writes the cursor itself. If that write fails, nothing is lost: no change lies
        # before it.
        self.checkpoint = dataclasses.replace(self.checkpoint, cursor=cursor)
        self.recorded = dataclasses.replace(self.recorded, cursor=cursor)

    def halve(self) -> None:
        """Search the refused notification for its change: the first half goes alone, and the changes are read again."""
        if self.current is not None:
            self.search = bisect.reject(self.current.count)
        self.clear()

    def clear(self, *, keep_current: bool = False) -> None:
        """Empty the queue, and drop the notification under way unless it is kept."""
        self.pending.clear()
        if not keep_current:
            self.current = None
