"""Changes that a receiver does not take: found, set aside, and tried again when their consumer asks."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import TYPE_CHECKING, Any

from django.db import Error as DatabaseError

from pubsubpull.base import threads
from pubsubpull.capture import sql
from pubsubpull.delivery import bisect, notification, signals
from pubsubpull.subscriptions.models import Subscription
from pubsubpull.transports.base import Delivered, Gone, Retry, Rewind
from pubsubpull.wire import items

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable

    from pubsubpull.conf import Settings
    from pubsubpull.delivery.lease import Held
    from pubsubpull.delivery.notification import Notification
    from pubsubpull.transports.base import Outcome
    from pubsubpull.wire.items import Row

WATCH_INTERVAL = 1.0
"""How often a worker looks for changes that are to be tried again, in seconds."""

logger = logging.getLogger("pubsubpull")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """A change set aside that is to be tried again. `id` is its failure's."""

    id: int
    subscription: uuid.UUID
    lease: int
    row: Row


class Store:
    """What the worker of this id reads and writes of changes set aside, in the database `using`."""

    def __init__(self, *, using: str, worker: uuid.UUID) -> None:
        self.using = using
        self.worker = worker

    def put(self, held: Held, page: Notification, refusal: Retry) -> bool:
        """Set the one change of the page aside and move the cursor past it; False where the lease is no more."""
        (row,) = page.rows
        return bool(
            self._run(
                "queries/dead_letters/put",
                id=held.id,
                lease=held.lease,
                cursor=page.text,
                initial=page.beyond.encode() if page.beyond else "",
                version=row.version,
                model=row.model,
                op=row.op,
                item=items.traced(row),
                attempts=held.attempts,
                status=refusal.code,
                answer=refusal.answer,
                error=refusal.error,
            )
        )

    def count(self, id_: uuid.UUID) -> int:
        """Return how many changes of a subscription are set aside."""
        ((count,),) = self._run("queries/dead_letters/count", id=id_)
        return int(count)

    def wanted(self) -> list[Wanted]:
        """Return what is to be tried again for the subscriptions that the worker holds, oldest first."""
        return [
            Wanted(id=id_, subscription=subscription, lease=lease, row=items.untraced(version, model, op, item))
            for id_, subscription, lease, version, model, op, item in self._run("queries/dead_letters/wanted")
        ]

    def taken(self, held: Held, failure: int) -> None:
        """Forget a change that was taken at last."""
        self._run("queries/dead_letters/taken", failure=failure, lease=held.lease)

    def refused(self, held: Held, failure: int, refusal: Retry) -> None:
        """Record that a change was refused again."""
        self._run(
            "queries/dead_letters/refused",
            failure=failure,
            lease=held.lease,
            status=refusal.code,
            answer=refusal.answer,
            error=refusal.error,
        )

    def _run(self, query: str, /, **parts: Any) -> list[tuple[Any, ...]]:
        return sql.run(self.using, sql.compose(query, worker=self.worker, **parts))


class Aside:
    """What a worker does with changes that are not taken."""

    def __init__(
        self, *, settings: Settings, worker: uuid.UUID, writes: threads.Database, signals: signals.Signals
    ) -> None:
        self.signals = signals
        self.settings = settings
        self.store = Store(using=settings.DATABASE, worker=worker)
        self._writes = writes

    async def watch(self, held: dict[uuid.UUID, Held], start: Callable[[Held], None]) -> None:
        """Look for what is to be tried again, and have it tried, for ever."""
        while True:
            for wanted in await self._writes(self.store.wanted):
                its = held.get(wanted.subscription)
                if its is not None and its.lease == wanted.lease and its.may_have(wanted.row.model):
                    its.wanted.setdefault(wanted.id, wanted)
                    start(its)
            await asyncio.sleep(WATCH_INTERVAL)

    def step(self, held: Held, page: Notification, result: Retry) -> bisect.Step:
        """Return what follows on a failure that has been counted."""
        return bisect.step(
            sets_aside=held.on_failure == Subscription.OnFailure.SET_ASIDE,
            refused=result.refused,
            attempts=held.attempts,
            limit=self.settings.SET_ASIDE_AFTER,
            count=page.count,
            searching=held.search is not None,
        )

    async def full(self, held: Held) -> str | None:
        """Return why no more may be set aside for a subscription, None where it may."""
        if await self._writes(self.store.count, held.id) < self.settings.SET_ASIDE_LIMIT:
            return None
        return f"{self.settings.SET_ASIDE_LIMIT} changes are set aside: retry or drop some, then PUT it again to go on."

    async def put(self, held: Held, page: Notification, refusal: Retry) -> bool:
        """Set the one change of the page aside and move the cursor past it; False where the lease is no more."""
        put = await self._writes(self.store.put, held, page, refusal)
        if put:
            (row,) = page.rows
            logger.error(
                "pubsubpull: change %s of %s is set aside for %s: %s", row.version, row.model, held, refusal.error
            )
            self.signals.send(
                signals.change_set_aside, held.id, error=refusal.error, version=row.version, model=row.model
            )
        return put

    async def tried(self, held: Held, wanted: Wanted, result: Outcome) -> None:
        """Record what became of a change that was tried again. Where that fails, it is tried once more."""
        try:
            if isinstance(result, Delivered):
                await self._writes(self.store.taken, held, wanted.id)
            else:
                await self._writes(self.store.refused, held, wanted.id, _refusal(result))
        except DatabaseError as error:
            logger.warning("pubsubpull: the database is away (%s); a change comes again", threads.first_line(error))
        finally:
            held.wanted.pop(wanted.id, None)


def alone(held: Held, wanted: Wanted) -> Notification:
    """Return a page of the one change. It names no cursor, so that it fits between any two others."""
    return notification.page([wanted.row], style=held.style, cursor=held.cursor, text=held.told)


def _refusal(result: Retry | Rewind | Gone) -> Retry:
    if isinstance(result, Retry):
        return result
    return Retry(error=result.error, code=result.code)
