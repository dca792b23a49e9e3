"""Reads the log for a worker's subscriptions: those at the same cursor together."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from django.db import Error as DatabaseError

from pubsubpull import exceptions
from pubsubpull.base import threads
from pubsubpull.delivery.lease import ROOM, full
from pubsubpull.log import feed
from pubsubpull.subscriptions.models import Subscription
from pubsubpull.transports.base import Retry

if TYPE_CHECKING:
    from pubsubpull.conf import Settings
    from pubsubpull.delivery.assignment import Shares
    from pubsubpull.delivery.groups import Group, Groups
    from pubsubpull.delivery.lease import Held
    from pubsubpull.delivery.sender import Delivery
    from pubsubpull.delivery.store import Store
    from pubsubpull.log.feed import Present

logger = logging.getLogger("pubsubpull")
LAGGING_AT_ONCE = 4
"""How many groups of subscriptions that lag are read between two looks at the log."""
MOVE_INTERVAL = 10.0
"""How often the cursors of subscriptions that wanted nothing are recorded, in seconds."""


class Reader:
    """The worker's one loop over the log. Setting `wake` has it look at once."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        reads: threads.Database,
        writes: threads.Database,
        groups: Groups,
        shares: Shares,
        delivery: Delivery,
        wake: asyncio.Event,
    ) -> None:
        self.settings = settings
        self.store = store
        self.groups = groups
        self.shares = shares
        self.delivery = delivery
        self.wake = wake
        self._reads = reads
        self._writes = writes
        self._moved_at = 0.0
        self._handed = 0

    async def read_on(self) -> None:
        """Look at the log for ever: every POLL_INTERVAL while there is something, less often while there is not."""
        pause = self.settings.POLL_INTERVAL
        while True:
            self.wake.clear()
            before = self._handed
            behind = await self.tick()
            await self.move_cursors()
            if behind:
                continue
            busy = self._handed != before
            pause = self.settings.POLL_INTERVAL if busy else min(pause * 1.5, self.settings.IDLE_INTERVAL)
            await threads.set_within(self.wake, pause)

    async def tick(self, upto: Present | None = None) -> bool:
        """Look, read what is new (up to `upto`, or now) and hand it out; say whether some can read on right away."""
        look = await self._reads(self.store.look)
        if look.free or look.mine != len(self.shares.held):
            self.shares.hurry.set()
        while self.shares.beginning:
            self.delivery.start(self.shares.beginning.pop())
        now = upto or look.present
        due = self.groups.due(now)
        for group in due[: LAGGING_AT_ONCE + 1]:
            await self._read(group, now)
        return len(due) > LAGGING_AT_ONCE + 1 or self.groups.any_behind()

    async def present(self) -> Present:
        """Return the log's present."""
        return await self._reads(feed.present, self.settings.DATABASE)

    def room(self, held: Held) -> None:
        """Let a subscription read on, once it has room."""
        if held.group is None and held.read is not None and not held.initial and held.roomy:
            self.groups.join(held, held.read)
            self.wake.set()

    async def move_cursors(self, *, at_once: bool = False) -> None:
        """Record where those are that have wanted nothing for a while."""
        if not at_once and time.monotonic() - self._moved_at < MOVE_INTERVAL:
            return
        self._moved_at = time.monotonic()
        moved: dict[Group, list[Held]] = {}
        for held in self.shares.held.values():
            if held.at_rest and held.group is not None and held.group.cursor.seq != held.recorded_seq:
                moved.setdefault(held.group, []).append(held)
        for group, members in moved.items():
            cursor = group.cursor
            for held in members:
                held.cursor, held.recorded_seq = cursor, cursor.seq
            await self._writes(self.store.move, cursor.encode(), [(held.id, held.lease) for held in members])

    async def _read(self, group: Group, now: Present) -> None:
        if not self.groups.begin(group):
            return
        cursor = group.cursor
        try:
            read = await self._reads(self.store.read, cursor, limit=ROOM, models=sorted(group.by_model), now=now)
        except exceptions.CursorExpired:
            await self._expired(group)
            return
        except (DatabaseError, OSError, asyncio.CancelledError):
            self.groups.put_back(group, cursor)
            raise
        except Exception as error:
            logger.exception("pubsubpull: the log could not be read for some subscriptions; they are tried again")
            self.groups.put_back(group, cursor)
            self._failed(group, f"The log could not be read: {type(error).__name__}; see the worker's log.")
            return
        handed = group.hand_out(read)
        self._handed += len(handed)
        self.groups.put_back(group, read.cursor)
        for held in full(handed):
            self.groups.leave(held)
        for held in handed:
            self.delivery.start(held)

    def _failed(self, group: Group, reason: str) -> None:
        """Let the subscriptions of a group wait, each as after a failure; all others go on."""
        cursor = group.cursor
        for held in list(group.members):
            self.groups.leave(held)
            held.read = cursor
            self.delivery.progress.failed(held, Retry(error=reason))
            wait = (held.next_attempt or 0.0) - self.delivery.progress.now()
            asyncio.get_running_loop().call_later(max(wait, 1.0), self.room, held)

    async def _expired(self, group: Group) -> None:
        """Disable who cannot read on, unless the cursor is only newer than the look that it was read with."""
        self.groups.put_back(group, group.cursor)
        cursor, now = group.cursor, await self.present()
        try:
            feed.check(cursor, now)
        except exceptions.CursorExpired as error:
            for held in [held for held in group.members if group.cursor == cursor]:
                self.delivery.progress.end(held, Subscription.State.DISABLED, str(error))
