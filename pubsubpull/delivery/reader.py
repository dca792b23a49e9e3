"""Reads the log for a worker's leases, once for all leases at the same cursor."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from django.db import Error as DatabaseError

from pubsubpull import exceptions
from pubsubpull.base import loops, threads
from pubsubpull.delivery.notification import READ_AHEAD
from pubsubpull.log import expiry, feed
from pubsubpull.subscriptions.models import Subscription
from pubsubpull.transports.base import Retry

if TYPE_CHECKING:
    from pubsubpull.conf import Settings
    from pubsubpull.delivery.assignment import Assignment
    from pubsubpull.delivery.groups import Group, Groups
    from pubsubpull.delivery.leases import Leases
    from pubsubpull.delivery.sender import Sender
    from pubsubpull.delivery.store import Store
    from pubsubpull.delivery.transitions import Progress
    from pubsubpull.log.present import Present

logger = logging.getLogger("pubsubpull")
LAGGING_AT_ONCE = 4
"""How many lagging groups are read between two polls."""
MOVE_INTERVAL = 10.0
"""How often the cursors of subscriptions without changes are recorded, in seconds."""


class Reader(loops.Service):
    """Polls the log: every POLL_INTERVAL while there are changes, up to every IDLE_INTERVAL while there are none."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        reads: threads.Database,
        writes: threads.Database,
        groups: Groups,
        leases: Leases,
        assignment: Assignment,
        progress: Progress,
        sender: Sender,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.store = store
        self.groups = groups
        self.leases = leases
        self.assignment = assignment
        self.progress = progress
        self.sender = sender
        self._reads = reads
        self._writes = writes
        self._moved_at = 0.0
        self._handed_out = 0
        self._pause = settings.POLL_INTERVAL

    async def run_once(self) -> None:
        """Poll once, read and hand out the new changes, and set the next pause."""
        # Cleared before the poll: a lease that joins during the poll causes another one at once.
        self.groups.wake.clear()
        before = self._handed_out
        behind = await self.tick()
        await self.move_cursors()
        if self._handed_out != before:
            self._pause = self.settings.POLL_INTERVAL
        elif not behind:
            self._pause = min(self._pause * 1.5, self.settings.IDLE_INTERVAL)
        if behind:
            self.groups.wake.set()

    async def pause(self) -> None:
        """Wait for the next poll, or for a lease that can read on at once."""
        await threads.set_within(self.groups.wake, self._pause)

    def stop(self) -> None:
        """Start no further poll."""
        super().stop()
        self.groups.wake.set()

    async def tick(self, upto: Present | None = None) -> bool:
        """Poll, read the new changes and hand them out; return True if a group can read on at once.

        Read up to `upto`, or to the present of the poll.
        """
        polled = await self._reads(self.store.poll)
        if polled.free or polled.mine != len(self.leases.held):
            self.assignment.hurry.set()
        while self.leases.beginning:
            self.sender.start(self.leases.beginning.pop())
        # One present for all groups: they are read up to the same snapshot, and so meet there and become one.
        now = upto or polled.present
        due = self.groups.due(now)
        for group in due[: LAGGING_AT_ONCE + 1]:
            await self._read(group, now)
        return len(due) > LAGGING_AT_ONCE + 1 or self.groups.any_behind()

    async def present(self) -> Present:
        """Return the log's present."""
        return await self._reads(feed.present, self.settings.DATABASE)

    async def move_cursors(self, *, at_once: bool = False) -> None:
        """Record the cursors of the subscriptions for which the log had no changes."""
        if not at_once and time.monotonic() - self._moved_at < MOVE_INTERVAL:
            return
        self._moved_at = time.monotonic()
        for group in list(self.groups.all()):
            cursor = group.cursor
            # Only of idle leases: any other has changes before this cursor that are not yet delivered.
            moved = [lease for lease in group.members if lease.is_idle and lease.recorded.cursor.seq != cursor.seq]
            for lease in moved:
                lease.move(cursor)
            if moved:
                await self._writes(self.store.move, cursor.encode(), moved)

    async def _read(self, group: Group, now: Present) -> None:
        if not self.groups.begin(group):
            return
        cursor = group.cursor
        try:
            read = await self._reads(self.store.read, cursor, limit=READ_AHEAD, models=sorted(group.by_model), now=now)
        except exceptions.CursorExpired:
            await self._expired(group)
            return
        except (DatabaseError, OSError, asyncio.CancelledError):
            self.groups.put_back(group, cursor)
            raise
        except Exception as error:
            # Caught here, so that the failure of one group does not keep the other groups from reading.
            logger.exception("pubsubpull: the log could not be read for some subscriptions; they are tried again")
            self.groups.put_back(group, cursor)
            self._failed(group, f"The log could not be read: {type(error).__name__}; see the worker's log.")
            return
        handed = group.hand_out(read)
        self._handed_out += len(handed)
        # Before a full lease leaves: a lease that leaves will read on from the cursor that its group has then.
        self.groups.put_back(group, read.cursor)
        for lease in handed:
            if lease.pending.is_full:
                self.groups.leave(lease)
        for lease in handed:
            self.sender.start(lease)

    def _failed(self, group: Group, reason: str) -> None:
        """Count a failure for each lease of a group, and let it read on after its pause."""
        cursor = group.cursor
        for lease in list(group.members):
            self.groups.pause(lease, cursor)
            self.progress.failed(lease, Retry(error=reason))
            wait = (lease.checkpoint.next_attempt or 0.0) - self.progress.now()
            asyncio.get_running_loop().call_later(max(wait, 1.0), self.groups.resume, lease)

    async def _expired(self, group: Group) -> None:
        """Disable the subscriptions of an expired cursor, after a check against the present of now."""
        self.groups.put_back(group, group.cursor)
        # The present of the poll may be older than the cursor, which would look like a cursor of another history.
        cursor, now = group.cursor, await self.present()
        try:
            expiry.check(cursor, now)
        except exceptions.CursorExpired as error:
            for lease in [lease for lease in group.members if group.cursor == cursor]:
                self.progress.end(lease, Subscription.State.DISABLED, str(error))
