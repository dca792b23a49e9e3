"""The transitions from one checkpoint to the next: one pure function for each outcome, and their effect on a lease."""

from __future__ import annotations

import dataclasses
import logging
import random
from typing import TYPE_CHECKING

from pubsubpull.base import backoff
from pubsubpull.base.once import Once
from pubsubpull.capture import clock
from pubsubpull.delivery import bisect, repeats
from pubsubpull.subscriptions.models import Subscription

if TYPE_CHECKING:
    from pubsubpull.conf import Settings
    from pubsubpull.delivery.bisect import Search
    from pubsubpull.delivery.checkpoints import Recorder
    from pubsubpull.delivery.groups import Groups
    from pubsubpull.delivery.lease import Checkpoint, Lease
    from pubsubpull.delivery.notification import Notification
    from pubsubpull.log.cursor import Cursor
    from pubsubpull.transports.base import Retry

State = Subscription.State

logger = logging.getLogger("pubsubpull")


def delivered(before: Checkpoint, page: Notification, *, count: int, now: float) -> Checkpoint:
    """Return the checkpoint after a delivered page with `count` new changes."""
    return dataclasses.replace(
        before,
        cursor=page.cursor,
        last_sent_cursor=page.text,
        backfill=page.following,
        last_delivered=now,
        delivered=before.delivered + count,
    )


def redelivered(before: Checkpoint, *, now: float) -> Checkpoint:
    """Return the checkpoint after a redelivery. The cursor stays: it has passed the change already."""
    return dataclasses.replace(before, last_delivered=now, delivered=before.delivered + 1)


def recovered(before: Checkpoint) -> Checkpoint:
    """Return the checkpoint of an active subscription without failures."""
    if before.state == State.ACTIVE and not before.attempts and before.next_attempt is None and not before.last_error:
        return before
    return dataclasses.replace(
        before, state=State.ACTIVE.value, attempts=0, failing_since=None, next_attempt=None, last_error=""
    )


def consented(before: Checkpoint, *, callback: str, rate: int | None) -> Checkpoint:
    """Return the checkpoint after the receiver's consent; `rate` is in notifications a minute."""
    return recovered(dataclasses.replace(before, consented=callback, allowed_rate=rate))


def rewound(before: Checkpoint, cursor: Cursor) -> Checkpoint:
    """Return the checkpoint at a cursor that the receiver named.

    During a backfill, the cursor stays where it was before the first row. A receiver that names this cursor is still
    in the backfill, which continues; any other cursor ends the backfill.
    """
    backfill = before.backfill if cursor == before.cursor else None
    return dataclasses.replace(before, cursor=cursor, last_sent_cursor=cursor.encode(), backfill=backfill)


def set_aside(before: Checkpoint, page: Notification) -> Checkpoint:
    """Return the checkpoint after a page that became a dead letter."""
    # `last_sent_cursor` stays: the receiver never got this page, and compares the next one's `previous` with its own.
    return recovered(dataclasses.replace(before, cursor=page.cursor, backfill=page.beyond))


def put_off(before: Checkpoint, *, error: str, wait: float, now: float) -> Checkpoint:
    """Return the checkpoint of a failing subscription with its next attempt in `wait` seconds."""
    state = State.UNVERIFIED if before.unverified else State.FAILING
    since = now if before.failing_since is None else before.failing_since
    return dataclasses.replace(
        before, state=state.value, last_error=error, failing_since=since, next_attempt=now + wait
    )


def ended(before: Checkpoint, state: Subscription.State, *, reason: str, now: float) -> Checkpoint:
    """Return the checkpoint of a subscription that is no longer served. The cursor stays."""
    since = now if before.failing_since is None else before.failing_since
    return dataclasses.replace(before, state=state.value, last_error=reason, failing_since=since, next_attempt=None)


class Progress:
    """Applies transitions to leases: moves the checkpoint, logs and records it, and lets the lease read on."""

    def __init__(self, *, settings: Settings, groups: Groups, recorder: Recorder) -> None:
        self.settings = settings
        self.groups = groups
        self.recorder = recorder
        self._refused = Once()

    def now(self) -> float:
        """Return the database's time, in unix seconds."""
        return clock.of(self.settings.DATABASE).now()

    def delivered(self, lease: Lease, page: Notification) -> int:
        """Continue after a delivered page; return how many of its changes were new to the receiver."""
        search = bisect.accept(lease.search, page.count)
        count = lease.rewinds.count_new(page)
        after = delivered(lease.checkpoint, page, count=count, now=self.now())
        # During a search the subscription has not recovered: the refused change is still among the next ones.
        self._advance(lease, after if search else self._recovered(lease, after), search=search)
        self.groups.resume(lease)
        return count

    def redelivered(self, lease: Lease) -> None:
        """Count a dead letter that the receiver has taken."""
        self._note(lease, redelivered(lease.checkpoint, now=self.now()))

    def consented(self, lease: Lease, *, rate: int | None) -> None:
        """Start delivery after the receiver's consent."""
        logger.info("pubsubpull: the receiver of subscription %s has consented", lease)
        self._refused.forget(str(lease))
        self._advance(lease, consented(lease.checkpoint, callback=lease.terms.callback, rate=rate))
        self.groups.resume(lease)

    def backfilled(self, lease: Lease) -> None:
        """Continue with the changes after the backfill."""
        self._note(lease, dataclasses.replace(lease.checkpoint, backfill=None))
        self.groups.resume(lease)

    def rewound(self, lease: Lease, cursor: Cursor) -> None:
        """Continue from the cursor that the receiver named. A repeated rewind counts as a failure."""
        again = lease.rewinds.note(cursor, at=lease.checkpoint.cursor)
        after = rewound(lease.checkpoint, cursor)
        # The receiver asks for these changes again, so none of them counts as taken.
        lease.accepted.clear()
        self._read_again(lease, cursor)
        if again:
            self._advance(lease, dataclasses.replace(after, attempts=lease.rewinds.repeats))
            self.put_off(lease, self._wait(lease), repeats.REPEATED_REWIND)
        else:
            self._advance(lease, self._recovered(lease, after))
        self.groups.resume(lease)

    def set_aside(self, lease: Lease, after: Checkpoint) -> None:
        """Continue after a page that became a dead letter."""
        self._advance(lease, self._recovered(lease, after))
        self.groups.resume(lease)

    def failed(self, lease: Lease, result: Retry) -> None:
        """Count a failed attempt, and put the next one off."""
        # Counted first: the pause grows with the attempts.
        lease.note(dataclasses.replace(lease.checkpoint, attempts=lease.checkpoint.attempts + 1))
        self.put_off(lease, max(self._wait(lease), result.after), result.error)

    def put_off(self, lease: Lease, wait: float, error: str) -> None:
        """Put the next attempt off; disable a subscription that has been failing for longer than DISABLE_AFTER."""
        now = self.now()
        after = put_off(lease.checkpoint, error=error, wait=wait, now=now)
        begins = lease.checkpoint.failing_since is None
        # Each cause by itself: a receiver that answers at last, but names another origin, is for a person to mend.
        other = after.unverified and self._refused.is_new(str(lease), error)
        if begins or other:
            verb = "waits for consent" if after.unverified else "is failing"
            logger.warning("pubsubpull: subscription %s %s: %s", lease, verb, error)
        if after.failing_since is not None and now - after.failing_since > self.settings.DISABLE_AFTER:
            self.end(
                lease, State.DISABLED, f"Disabled after failing for too long. PUT it again to go on. Last: {error}"
            )
            return
        self._note(lease, after)
        # The queue goes: it would take up memory while the receiver is away. The page under way stays, to be the same
        # in the next attempt.
        if lease.current is not None:
            self._read_again(lease, lease.current.cursor, keep=True)

    def halve(self, lease: Lease) -> None:
        """Send the first half of a refused page alone, at once."""
        lease.halve()
        lease.note(dataclasses.replace(lease.checkpoint, next_attempt=None))
        self._read_again(lease, lease.checkpoint.cursor)
        self.groups.resume(lease)

    def pace(self, lease: Lease, count: int) -> None:
        """Note when the rates allow the next notification, after one of `count` changes."""
        free_at = lease.next_at(count, now=self.now())
        if free_at != lease.checkpoint.free_at:
            lease.note(dataclasses.replace(lease.checkpoint, free_at=free_at))

    def end(self, lease: Lease, state: Subscription.State, reason: str) -> None:
        """End delivery until the subscription is PUT again or enabled; the cursor stays."""
        level = logging.WARNING if state == State.UNSUBSCRIBED else logging.ERROR
        logger.log(level, "pubsubpull: subscription %s is %s: %s", lease, state.value, reason)
        self._note(lease, ended(lease.checkpoint, state, reason=reason, now=self.now()))
        lease.clear()
        self.groups.leave(lease)

    def _note(self, lease: Lease, after: Checkpoint) -> None:
        lease.note(after)
        self.recorder.mark(lease)

    def _advance(self, lease: Lease, after: Checkpoint, *, search: Search | None = None) -> None:
        lease.advance(after, search=search)
        self.recorder.mark(lease)

    def _recovered(self, lease: Lease, after: Checkpoint) -> Checkpoint:
        if lease.checkpoint.failing:
            attempts = lease.checkpoint.attempts
            logger.info("pubsubpull: subscription %s has recovered after %s failed attempts", lease, attempts)
        return recovered(after)

    def _wait(self, lease: Lease) -> float:
        return backoff.delay(
            lease.checkpoint.attempts,
            first=self.settings.BACKOFF_FIRST,
            limit=self.settings.BACKOFF_LIMIT,
            random=random.random,
        )

    def _read_again(self, lease: Lease, cursor: Cursor, *, keep: bool = False) -> None:
        """Clear the queue and pause the lease at a cursor; `keep` the notification under way."""
        lease.clear(keep_current=keep)
        self.groups.pause(lease, cursor)
