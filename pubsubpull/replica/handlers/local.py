"""The handlers of this service's own log, called page by page: each in a transaction with its own position."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from pubsubpull import exceptions
from pubsubpull.base.database_errors import is_away
from pubsubpull.base.threads import first_line
from pubsubpull.capture import clock
from pubsubpull.log import expiry, feed
from pubsubpull.replica import positions as replica_positions
from pubsubpull.replica.effects import Changes, Staged, Summary
from pubsubpull.replica.handlers import own_log, positions
from pubsubpull.replica.parking import actions, store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pubsubpull.log.present import Present
    from pubsubpull.replica.handlers.positions import Place
    from pubsubpull.replica.pages import Page

logger = logging.getLogger(__name__)
LONG, SHORT = 1.0, 0.25
"""Seconds: a handler whose transaction took longer than the first gets fewer changes in the next one; shorter than the
second, more again."""
RECORD_INTERVAL = 10.0
"""How often the cursors of handlers that nothing came for are recorded, in seconds."""


class Local:
    """Calls the handlers of the own log. Any number of these may run, in threads and processes.

    A handler that nothing has come for is moved on in memory, and only now and then in its row.
    """

    def __init__(self, *, using: str, page: int = own_log.PAGE, stopping: Callable[[], bool] = lambda: False) -> None:
        self.failed: dict[str, exceptions.ReplicaFailed] = {}
        self._using = using
        self._page = page
        self._stopping = stopping
        self._ahead: dict[str, tuple[str, str]] = {}
        self._recorded_at = time.monotonic()
        self._limits: dict[str, int] = {}

    def round(self, now: Present | None = None, *, retry: bool = True) -> bool:
        """Let each handler handle one page of what has come; return True if there may be more.

        Without `retry`, handlers that have failed are left alone. Raises what the database does when it is away.
        """
        now = now or feed.present(self._using)
        by_cursor: dict[str, list[Place]] = {}
        for place in positions.due(self._using, without=() if retry else self.failed):
            # Ahead only of the row that it was noted for: another process may have moved the handler since.
            stored, ahead = self._ahead.get(place.effect.name, ("", ""))
            by_cursor.setdefault(ahead if stored == place.cursor else place.cursor, []).append(place)
        present, worked = now.cursor().encode(), False
        for cursor, places in by_cursor.items():
            if cursor != present and not self._stopping():
                worked = self._together(cursor, places, now) or worked
        if time.monotonic() - self._recorded_at > RECORD_INTERVAL:
            self.record()
        return worked

    def record(self) -> None:
        """Record how far handlers have come that nothing has come for."""
        by_name = {place.effect.name: place for place in positions.due(self._using)}
        for name, (stored, ahead) in self._ahead.items():
            place = by_name.get(name)
            if place and place.cursor == stored != ahead:
                with transaction.atomic(self._using):
                    # Taken first: another process may be handling a page from the stored cursor.
                    if positions.take(place, self._using):
                        replica_positions.move([place.effect], ahead, using=self._using)
        self._ahead.clear()
        self._recorded_at = time.monotonic()

    def _together(self, cursor: str, places: Iterable[Place], now: Present) -> bool:
        """Read one page for all handlers that are at a cursor; let each handle its part."""
        try:
            page = own_log.page(
                {place.effect.source for place in places}, cursor, limit=self._page, using=self._using, now=now
            )
        except exceptions.CursorExpired as error:
            # In a transaction: `begin_anew` locks each position before it moves it.
            with transaction.atomic(self._using):
                positions.begin_anew(places, self._using, why=str(error).removesuffix(expiry.EXPIRED).strip())
            return True
        changes, worked = Changes([page]), page.more
        for place in places:
            items = next(changes.of(place.effect.source))
            if not items:
                self._ahead[place.effect.name] = (place.cursor, page.cursor)
            elif not self._stopping():
                worked = self._handle(place, page, len(items), now) or worked
        return worked

    def _handle(self, place: Place, page: Page, count: int, now: Present) -> bool:
        """Let a handler handle a page, or as much of it as it can; return True if it has moved on."""
        limit = self._limits.get(place.effect.name, self._page)
        if count > limit:
            page, count = self._part(place, page, limit, now), limit
        while True:
            try:
                began = time.monotonic()
                moved = self._apply(place, page)
            except exceptions.ReplicaFailed as error:
                failure = error
            except IntegrityError as error:  # a constraint that is checked at commit
                failure = exceptions.ReplicaFailed(place.effect.name, first_line(error))
                # Set by hand, since it is not raised: `is_due` looks at the cause.
                failure.__cause__ = error
            else:
                self._learn(place.effect.name, time.monotonic() - began, count)
                self.failed.pop(place.effect.name, None)
                return moved
            count = _before(page, place.effect.source, failure.version)
            if not count:
                return self._fail(place, failure)
            # What comes before the failing change is not to wait for it.
            page = self._part(place, page, count, now)

    def _apply(self, place: Place, page: Page) -> bool:
        effect = place.effect
        with transaction.atomic(self._using):
            cohort = positions.take(place, self._using)
            if cohort is None:
                return False
            left_out = store.hold(cohort, [page], using=self._using)
            changes = Changes([page], left_out=left_out)
            try:
                effect.apply(Staged(summaries={effect.source: Summary()}, changes=changes), using=self._using)
            except Exception as error:
                if isinstance(error, exceptions.ReplicaFailed) or is_away(error):
                    raise
                raise exceptions.ReplicaFailed(effect.name, first_line(error)) from error
            # In the handler's transaction: its writes and its move are committed together, or not at all.
            replica_positions.move([effect], page.cursor, using=self._using)
        return True

    def _part(self, place: Place, page: Page, limit: int, now: Present) -> Page:
        return own_log.page([place.effect.source], page.previous, limit=limit, using=self._using, now=now)

    def _learn(self, name: str, took: float, count: int) -> None:
        """Note how many changes a handler is to get at once, so that no transaction of it takes long."""
        if took > LONG:
            self._limits[name] = max(1, count // 2)
        elif took < SHORT and name in self._limits:
            self._limits[name] = min(self._page, self._limits[name] * 2)

    def _fail(self, place: Place, error: exceptions.ReplicaFailed) -> bool:
        """Let a handler wait, or set aside the change that it cannot take; return True if it goes on at once."""
        with transaction.atomic(self._using):
            # Since the rollback another process may have handled the page: then there is no failure to note.
            if positions.take(place, self._using) is None:
                return False
            wait = replica_positions.fail(error, self._using, clock.moment(self._using))
        # After the commit: `is_due` reads the count, and parking tries the page in transactions of its own.
        if actions.is_due(error, self._using) and self._park(error.name):
            return True
        logger.warning("Handler %s: %s; again in %.1f s", error.name, error.reason, wait)
        self.failed[error.name] = error
        return False

    def _park(self, name: str) -> bool:
        try:
            return actions.park(name, None, using=self._using) is not None
        except exceptions.ReplicaError as error:
            logger.warning("%s", error)
            return False


def _before(page: Page, source: str, version: int | None) -> int:
    """Return how many changes of a source come before a version in a page; 0 if that is unknown."""
    items = next(Changes([page]).of(source))
    return next((index for index, item in enumerate(items) if item["version"] == version), 0)
