"""How a subscription in a worker's hands fares, after each answer of its receiver."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING

from pubsubpull.base import backoff
from pubsubpull.capture import clock
from pubsubpull.delivery import bisect, repeats
from pubsubpull.subscriptions.models import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable

    from pubsubpull.conf import Settings
    from pubsubpull.delivery.groups import Groups
    from pubsubpull.delivery.lease import Held
    from pubsubpull.delivery.notification import Notification
    from pubsubpull.log.cursor import Cursor
    from pubsubpull.transports.base import Retry

State = Subscription.State

logger = logging.getLogger("pubsubpull")


class Progress:
    """Changes what is held of a subscription. `note` has it recorded; `room` is called when one may read further."""

    def __init__(
        self, *, settings: Settings, groups: Groups, note: Callable[[Held], None], room: Callable[[Held], None]
    ) -> None:
        self.settings = settings
        self.groups = groups
        self.note = note
        self.room = room

    def delivered(self, held: Held, page: Notification) -> int:
        """Note that the receiver has taken the page; return how many of its changes it had not taken before."""
        search = bisect.passed(held.search, page.count)
        held.initial = page.following
        if search is None:
            self.well(held, page.cursor, page.text)
        else:
            # What it does not take is still to be found: it has not recovered yet.
            held.cursor, held.told, held.current = page.cursor, page.text, None
            self.note(held)
        held.search = search
        count = repeats.count_new(held, page)
        held.delivered += count
        held.last_delivered = self.now()
        if held.group is None:
            self.room(held)
        return count

    def now(self) -> float:
        """Return the database's time, in unix seconds."""
        return clock.of(self.settings.DATABASE).now()

    def complete(self, held: Held) -> None:
        """Note that no rows are left to be sent before the changes."""
        held.initial = None
        self.note(held)
        self.room(held)

    def rewound(self, held: Held, cursor: Cursor) -> None:
        """Note that the receiver is at this cursor. To be sent back where it was sent before counts as a failure."""
        again = repeats.note_rewind(held, cursor)
        if cursor != held.cursor:  # which is the one that was taken before the first row, while rows are sent
            held.initial = None
        held.done.clear()
        self._read_on_from(held, cursor)
        if again:
            held.cursor, held.told, held.current, held.search = cursor, cursor.encode(), None, None
            held.attempts = held.repeats
            self.put_off(held, self._wait(held), repeats.ERROR)
        else:
            self.well(held, cursor, cursor.encode())
        self.room(held)

    def set_aside(self, held: Held, page: Notification) -> None:
        """Note that the page was set aside: delivery goes on after it, and the receiver is told of no cursor."""
        held.initial = page.beyond
        self.well(held, page.cursor, held.told)
        if held.group is None:
            self.room(held)

    def well(self, held: Held, cursor: Cursor, told: str) -> None:
        """Note that delivery goes on from a cursor."""
        if held.failing:
            logger.info("pubsubpull: subscription %s has recovered after %s failed attempts", held, held.attempts)
        held.cursor, held.told, held.current, held.search = cursor, told, None, None
        held.state, held.attempts, held.failing_since, held.next_attempt = State.ACTIVE.value, 0, None, None
        held.last_error = ""
        self.note(held)

    def failed(self, held: Held, result: Retry) -> None:
        """Note that an attempt failed; the next one is put off."""
        held.attempts += 1
        self.put_off(held, max(self._wait(held), result.after), result.error)

    def put_off(self, held: Held, wait: float, error: str) -> None:
        """Note that the subscription is failing; nothing is sent for so long."""
        now = self.now()
        if held.failing_since is None:
            held.failing_since = now
            what = "waits for consent" if held.unverified else "is failing"
            logger.warning("pubsubpull: subscription %s %s: %s", held, what, error)
        if now - held.failing_since > self.settings.DISABLE_AFTER:
            self.end(held, State.DISABLED, f"Disabled after failing for too long. PUT it again to go on. Last: {error}")
            return
        state = State.UNVERIFIED if held.unverified else State.FAILING
        held.state, held.last_error, held.next_attempt = state.value, error, now + wait
        # What was read ahead would only take up memory for as long as the receiver is away.
        if held.current is not None:
            self._read_on_from(held, held.current.cursor)
        self.note(held)

    def halve(self, held: Held, page: Notification) -> None:
        """Have the first half of a page that was refused sent at once."""
        held.search, held.current, held.next_attempt = bisect.narrowed(page.count), None, None
        self._read_on_from(held, held.cursor)
        self.room(held)

    def end(self, held: Held, state: Subscription.State, reason: str) -> None:
        """Deliver no more until the subscription is PUT again, or enabled; the cursor stays."""
        level = logging.WARNING if state == State.UNSUBSCRIBED else logging.ERROR
        logger.log(level, "pubsubpull: subscription %s is %s: %s", held, state.value, reason)
        held.state, held.last_error, held.next_attempt = state.value, reason, None
        held.failing_since = held.failing_since or self.now()
        held.pending.clear()
        held.current = None
        self.groups.leave(held)
        self.note(held)

    def _wait(self, held: Held) -> float:
        return backoff.delay(
            held.attempts,
            first=self.settings.BACKOFF_FIRST,
            limit=self.settings.BACKOFF_LIMIT,
            random=random.random,
        )

    def _read_on_from(self, held: Held, cursor: Cursor) -> None:
        held.pending.clear()
        self.groups.leave(held)
        held.read = cursor
