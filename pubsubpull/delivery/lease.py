"""A subscription in a worker's hands: what it is, how it fares, and what waits for it."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

from pubsubpull.delivery import rate_limit
from pubsubpull.delivery.notification import Pending, Style
from pubsubpull.pull import consumers
from pubsubpull.subscriptions.models import Subscription
from pubsubpull.transports.base import Target, takes_single

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterable

    from pubsubpull.delivery.bisect import Search
    from pubsubpull.delivery.dead_letters import Wanted
    from pubsubpull.delivery.groups import Group
    from pubsubpull.delivery.notification import Notification
    from pubsubpull.log.cursor import Cursor
    from pubsubpull.subscriptions.backfill_position import BackfillPosition
    from pubsubpull.transports.keys import Key

ROOM = 1000
"""A subscription with this many changes waiting reads no further until half of them are gone."""
ROOM_SIZE = 8_000_000
"""Nor does one with so many characters of them."""


@dataclasses.dataclass(eq=False, kw_only=True)
class Held:
    """A subscription that this worker holds: what it is, how it fares, and what waits for it. Times are unix seconds.

    `allowed_rate` is how many notifications a minute its receiver allows, `free_at` when the rates let it be sent the
    next changes. `read` is the cursor that it has read up to, while it
    is in no group. `before` is the task of its earlier self, which may still have a notification on its way. `ending`
    says that nothing more is to be sent, `dropped` that nothing more is to be recorded either. `initial` is how far the
    rows have come that go before all changes. `search` is for a change that its receiver does not take, `wanted` the
    changes set aside that are to be tried again, by their failures' ids. `done` are the versions beyond its cursor that
    its receiver has taken, where changes are sent one by one. `rewound` are the hashes of the cursors that its receiver
    has named, `furthest` where it was before that, until it has come so far again, and `repeats` how often it had been
    sent back before to where it was sent.
    """

    id: uuid.UUID
    lease: int
    name: str
    consumer: str
    callback: str
    models: frozenset[str]
    ops: frozenset[str]
    batch: int
    max_rate: float | None
    free_at: float | None
    allowed_rate: int | None
    concurrency: int
    form: str
    on_failure: str
    keys: tuple[Key, ...]
    state: str
    cursor: Cursor
    told: str
    initial: BackfillPosition | None
    attempts: int
    failing_since: float | None
    next_attempt: float | None
    last_error: str
    consumer_id: int
    granted: frozenset[str]

    last_delivered: float | None = None
    delivered: int = 0
    pending: Pending = dataclasses.field(default_factory=Pending)
    current: Notification | None = None
    search: Search | None = None
    wanted: dict[int, Wanted] = dataclasses.field(default_factory=dict)
    done: set[int] = dataclasses.field(default_factory=set)
    group: Group | None = None
    task: asyncio.Task[None] | None = None
    before: asyncio.Task[None] | None = None
    ending: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    dropped: bool = False
    rewound: set[int] = dataclasses.field(default_factory=set)
    furthest: Cursor | None = None
    repeats: int = 0
    read: Cursor | None = None
    recorded_seq: int = 0
    recorded_state: str = ""

    def __str__(self) -> str:
        return f"{self.name} of {self.consumer}"

    @property
    def most(self) -> int:
        """How many changes its next notification may have."""
        most = self.search.size if self.search else self.batch
        if self.one_by_one and self.allowed_rate is not None:
            most = rate_limit.batch(most, self.allowed_rate / 60)
        return rate_limit.batch(most, self.max_rate)

    @property
    def roomy(self) -> bool:
        """Whether it may read on."""
        return self.pending.count <= ROOM // 2 and self.pending.size <= ROOM_SIZE // 2

    def may_have(self, model: str) -> bool:
        """Say whether its consumer is granted the model."""
        return consumers.ALL in self.granted or model in self.granted

    @property
    def target(self) -> Target:
        """The receiver of its messages."""
        return Target(address=self.callback, keys=self.keys)

    @property
    def style(self) -> Style:
        """How its notifications look."""
        return Style(subscription=str(self.id), name=self.name, form=self.form)

    @property
    def one_by_one(self) -> bool:
        """True if each change is a message of its own."""
        return takes_single(self.callback)

    @property
    def at_rest(self) -> bool:
        """Whether everything read for it has been delivered."""
        return self.task is None and not self.waits and self.group is not None

    @property
    def waits(self) -> bool:
        """Whether there is something to send."""
        return bool(self.pending.count or self.current or self.wanted or self.unverified or self.initial)

    @property
    def failing(self) -> bool:
        """Whether its last attempt failed."""
        return self.state == Subscription.State.FAILING

    @property
    def unverified(self) -> bool:
        """Whether its receiver has yet to consent."""
        return self.state == Subscription.State.UNVERIFIED

    def next(self) -> Notification | None:
        """Return the notification to send now: the one that was not yet delivered, or the next."""
        if self.current is None and self.pending.count:
            self.current = self.pending.cut(
                batch=self.most,
                style=self.style,
                previous=self.told,
            )
        return self.current


def full(members: Iterable[Held]) -> list[Held]:
    """Return those that have as much waiting as they may."""
    return [held for held in members if held.pending.count >= ROOM or held.pending.size >= ROOM_SIZE]
