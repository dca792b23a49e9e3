"""Dead letters: changes that a receiver refuses, set aside, and sent again when their consumer asks for it."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import TYPE_CHECKING, Any

from django.db import Error as DatabaseError

from pubsubpull.base import loops, threads
from pubsubpull.capture import sql
from pubsubpull.delivery import bisect, notification, signals
from pubsubpull.delivery.notification import Redelivery
from pubsubpull.delivery.store import recording
from pubsubpull.subscriptions.models import Subscription
from pubsubpull.transports.base import Delivered, Gone, Retry, Rewind
from pubsubpull.wire import items

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable

    from pubsubpull.conf import Settings
    from pubsubpull.delivery.lease import Checkpoint, Lease
    from pubsubpull.delivery.leases import Leases
    from pubsubpull.delivery.notification import Notification
    from pubsubpull.transports.base import Outcome

WATCH_INTERVAL = 1.0
"""How often a worker looks for dead letters to send again, in seconds."""

logger = logging.getLogger("pubsubpull")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeasedRedelivery:
    """A dead letter to be sent again, and the lease under which it was read."""

    subscription: uuid.UUID
    """The id of its subscription."""
    lease: int
    """The subscription's fencing token when the dead letter was read."""
    redelivery: Redelivery
    """The dead letter."""


class Store:
    """The dead letters in the database `using`, for the worker of this id."""

    def __init__(self, *, using: str, worker: uuid.UUID) -> None:
        self.using = using
        self.worker = worker

    def put(self, lease: Lease, page: Notification, refusal: Retry, *, then: Checkpoint) -> bool:
        """Make the page's one change a dead letter and write the checkpoint after it; False if the lease is lost."""
        (row,) = page.rows
        # One statement: a crash between the two would lose the change, or set it aside twice.
        return bool(
            self._run(
                "queries/dead_letters/put",
                moved=recording({lease: then}, worker=self.worker),
                version=row.version,
                model=row.model,
                op=row.op,
                item=items.traced(row),
                attempts=lease.checkpoint.attempts,
                status=refusal.code,
                answer=refusal.answer,
                error=refusal.error,
            )
        )

    def count(self, id_: uuid.UUID) -> int:
        """Return how many dead letters a subscription has."""
        ((count,),) = self._run("queries/dead_letters/count", id=id_)
        return int(count)

    def redeliveries(self) -> list[LeasedRedelivery]:
        """Return the dead letters to send again for the worker's subscriptions, oldest first."""
        rows = sql.run_named(self.using, sql.compose("queries/dead_letters/redeliveries", worker=self.worker))
        return [
            LeasedRedelivery(
                subscription=row["subscription"],
                lease=row["lease"],
                redelivery=Redelivery(
                    id=row["id"], row=items.untraced(row["version"], row["model"], row["op"], row["item"])
                ),
            )
            for row in rows
        ]

    def taken(self, lease: Lease, id_: int) -> bool:
        """Delete a dead letter that the receiver has taken; return False if the lease is lost."""
        return bool(self._run("queries/dead_letters/taken", failure=id_, lease=lease.terms.lease))

    def refused(self, lease: Lease, id_: int, refusal: Retry) -> None:
        """Record that a dead letter was refused again."""
        self._run(
            "queries/dead_letters/refused",
            failure=id_,
            lease=lease.terms.lease,
            status=refusal.code,
            answer=refusal.answer,
            error=refusal.error,
        )

    def _run(self, query: str, /, **parts: Any) -> list[tuple[Any, ...]]:
        return sql.run(self.using, sql.compose(query, worker=self.worker, **parts))


class DeadLetters:
    """Sets refused changes aside, and records the answers to redeliveries."""

    def __init__(
        self, *, settings: Settings, worker: uuid.UUID, writes: threads.Database, signals: signals.Signals
    ) -> None:
        self.settings = settings
        self.signals = signals
        self.store = Store(using=settings.DATABASE, worker=worker)
        self._writes = writes

    def step(self, lease: Lease, page: Notification, result: Retry) -> bisect.Step:
        """Return the next step after a failure that has been counted."""
        return bisect.step(
            sets_aside=lease.terms.on_failure == Subscription.OnFailure.SET_ASIDE,
            refused=result.refused,
            attempts=lease.checkpoint.attempts,
            limit=self.settings.SET_ASIDE_AFTER,
            count=page.count,
            searching=lease.search is not None,
        )

    async def full(self, lease: Lease) -> str | None:
        """Return the reason why a subscription may have no more dead letters; None if it may."""
        if await self._writes(self.store.count, lease.terms.id) < self.settings.SET_ASIDE_LIMIT:
            return None
        return f"{self.settings.SET_ASIDE_LIMIT} changes are set aside: retry or drop some, then PUT it again to go on."

    async def put(self, lease: Lease, page: Notification, refusal: Retry, *, then: Checkpoint) -> bool:
        """Make the page's one change a dead letter and write the checkpoint after it; False if the lease is lost."""
        put = await self._writes(self.store.put, lease, page, refusal, then=then)
        # Only if it was written: under a lost lease nothing was set aside.
        if put:
            (row,) = page.rows
            logger.error(
                "pubsubpull: change %s of %s is set aside for %s: %s", row.version, row.model, lease, refusal.error
            )
            self.signals.send(
                signals.change_set_aside, lease.terms.id, error=refusal.error, version=row.version, model=row.model
            )
        return put

    async def tried(self, lease: Lease, redelivery: Redelivery, result: Outcome) -> bool:
        """Record the answer to a redelivery; return True if the dead letter was taken.

        If the answer cannot be recorded, the dead letter is sent once more.
        """
        try:
            if isinstance(result, Delivered):
                return await self._writes(self.store.taken, lease, redelivery.id)
            await self._writes(self.store.refused, lease, redelivery.id, _refusal(result))
        except DatabaseError as error:
            # Swallowed: the row still asks for a redelivery, and delivery is at least once.
            logger.warning(
                "pubsubpull: the database is away (%s); a dead letter is sent again", threads.first_line(error)
            )
        finally:
            # In any case: a dead letter left here would be sent again at once, before all changes, without end.
            lease.redeliveries.pop(redelivery.id, None)
        return False


class Redeliveries(loops.Service):
    """Polls for dead letters that their consumers want sent again, and starts their redelivery."""

    def __init__(
        self, *, store: Store, writes: threads.Database, leases: Leases, start: Callable[[Lease], None]
    ) -> None:
        super().__init__()
        self.store = store
        self.leases = leases
        self._writes = writes
        self._start = start

    async def run_once(self) -> None:
        """Hand each dead letter to send again to its lease."""
        for leased in await self._writes(self.store.redeliveries):
            lease = self.leases.held.get(leased.subscription)
            redelivery = leased.redelivery
            # The fencing token is compared: a dead letter read under an earlier lease may have other terms.
            if lease and lease.terms.lease == leased.lease and lease.terms.may_have(redelivery.row.model):
                lease.redeliveries.setdefault(redelivery.id, redelivery)
                self._start(lease)

    async def pause(self) -> None:
        """Wait for the next poll."""
        await asyncio.sleep(WATCH_INTERVAL)


def alone(lease: Lease, redelivery: Redelivery) -> Notification:
    """Return a page of the one change. It names no cursor, so it fits between any two other pages."""
    at = lease.checkpoint
    return notification.page([redelivery.row], style=lease.terms.style, cursor=at.cursor, text=at.last_sent_cursor)


def _refusal(result: Retry | Rewind | Gone) -> Retry:
    if isinstance(result, Retry):
        return result
    return Retry(error=result.error, code=result.code)
