"""The maintenance pass: partitions ahead, the removal of old changes, and the subscriptions that lose changes by it."""

from __future__ import annotations

import dataclasses
import logging
import time
from typing import TYPE_CHECKING, TypeVar

import psycopg.errors
from django.db import IntegrityError, OperationalError

from pubsubpull.capture import clock, sql
from pubsubpull.log import expiry, feed, partitions
from pubsubpull.operate import retention_warnings, samples
from pubsubpull.subscriptions import lag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pubsubpull.conf import Settings
    from pubsubpull.log.partitions import Cut, Partition
    from pubsubpull.subscriptions.models import Subscription

T = TypeVar("T")
LAPSING_PART = 0.9
"""The age of a subscription's oldest unread change, as a part of RETENTION, from which on it is lapsing."""
RETRY_PAUSES = (0.1, 0.2, 0.4, 0.8)
"""Seconds between attempts to get a lock. Each attempt delays writers for at most its time-out."""
TRIMS = 20
"""The most batches that a pass trims."""

logger = logging.getLogger("pubsubpull")


@dataclasses.dataclass(kw_only=True)
class Report:
    """The result of a pass; with `dry_run`, of the pass that would be made."""

    made: list[str] = dataclasses.field(default_factory=list)
    """The partitions that were created."""
    dropped: list[str] = dataclasses.field(default_factory=list)
    """The partitions that were dropped."""
    trimmed: int = 0
    """The number of changes that were deleted row by row."""
    requests: int = 0
    """The number of requests that were deleted."""
    lapsing: list[Subscription] = dataclasses.field(default_factory=list)
    """The subscriptions that lose changes soon."""
    lapsed: list[Subscription] = dataclasses.field(default_factory=list)
    """The subscriptions that have lost changes."""
    held_up: list[str] = dataclasses.field(default_factory=list)
    """The steps that the locks of other sessions prevented."""
    left: list[str] = dataclasses.field(default_factory=list)
    """The steps that only the log's owner may do."""
    owner: str = ""
    """The role that owns the log."""


class Pass:
    """One pass over the log of `settings.DATABASE`. `now` is in unix seconds. Several passes at once do no harm."""

    def __init__(self, settings: Settings, *, now: float, dry_run: bool = False) -> None:
        self.settings = settings
        self.using = settings.DATABASE
        self.now = now
        self.dry_run = dry_run
        self.keep = settings.RETENTION
        self.rights = partitions.rights(self.using)
        self.report = Report(owner=self.rights.owner)

    def run(self) -> Report:
        """Do all steps that are due; return the report."""
        # First: partitions are dropped only below the settled id.
        sql.run(self.using, sql.template("queries/feed/settle"))
        self._make()
        if self.keep:
            self._warn()
            self._drop()
            # Changes are deleted one by one only where dropping whole partitions could not do it.
            if not (self.report.held_up or self.report.left) and not (self.dry_run and self.report.dropped):
                self._trim()
            self._trim_past()
            self._prune()
        # After dropping: a subscription has lapsed only once its changes are gone.
        self._mark()
        if not self.dry_run:
            samples.take(self.using)
        self.report.lapsing = [each for each in self.report.lapsing if each not in self.report.lapsed]
        return self.report

    def _make(self) -> None:
        """Create partitions ahead. If the default partition has changes, adopt it first."""
        # Read before the partitions: a partition created in between is seen twice, not missed.
        present, size = feed.present(self.using), self.settings.PARTITION_SIZE
        existing = partitions.read(present, self.using)
        if partitions.overflowed(existing):
            existing = self._adopt(existing, present.reached + size)
        elif not self.dry_run and self.rights.allow(partitions.ADOPTING):
            self._patiently("the default partition", partitions.release_default, self.using)
        if partitions.overflowed(existing):
            return
        for low, high in partitions.missing(existing, seq=present.reached, size=size):
            name = f"versions {low} to {high - 1}"
            if not self._may(name, partitions.MAKING):
                return
            if not self.dry_run and not self._patiently(name, partitions.make, low, high, self.using):
                return
            self.report.made.append(name)

    def _adopt(self, existing: list[Partition], below: int) -> list[Partition]:
        name = f"the default partition, as versions {partitions.end(existing)} to {below - 1}"
        if not self._may(name, partitions.ADOPTING):
            return existing
        logger.warning("pubsubpull: no partition was made ahead for some changes; %s becomes one", name)
        if not self.dry_run and self._patiently(name, partitions.adopt, below, self.using):
            existing = partitions.read(feed.present(self.using), self.using)
        elif name in self.report.held_up:
            # A bounded partition takes no ids beyond its bound: if no pass came for long, writes would fail.
            self._patiently("the default partition", partitions.release_default, self.using)
            return existing
        self.report.made.append(name)
        return existing

    def _drop(self) -> None:
        present = feed.present(self.using)
        existing = partitions.read(present, self.using)
        for cut in partitions.expired(existing, settled=present.settled, before=self.now - self.keep):
            if not self._may(str(cut), partitions.DROPPING):
                return
            # Before the changes are gone: an operator can then still stop the worker, and have it sent.
            self._tell(cut)
            if self.dry_run:
                self.report.dropped.append(str(cut))
            elif not self._patiently(str(cut), partitions.detach, cut, self.using):
                break
        # A detached partition is dropped in a second step, since detaching takes the lock for a moment only.
        may = self.rights.allow(partitions.DROPPING) and not self.dry_run
        while may and (name := self._patiently("a table", partitions.drop_detached, self.using)):
            logger.info("pubsubpull: %s is dropped", name)
            self.report.dropped.append(name)

    def _trim(self) -> None:
        """Delete old changes of a partition that fills too slowly to be dropped as a whole."""
        if not partitions.too_old(self._oldest(), now=self.now, keep=self.keep):
            return
        if not self._may("changes older than RETENTION", partitions.DROPPING):
            return
        # Bounded: the pass's other steps must not wait for a large backlog, and the next pass goes on.
        for _ in range(1 if self.dry_run else TRIMS):
            cut = partitions.first_old(feed.present(self.using), before=self.now - self.keep, using=self.using)
            if cut is None:
                return
            self._tell(cut)
            if self.dry_run:
                self.report.dropped.append(str(cut))
            elif trimmed := self._patiently(str(cut), partitions.trim, cut, self.using):
                self.report.trimmed += trimmed
            else:
                return

    def _trim_past(self) -> None:
        """Delete imported changes that are older than RETENTION."""
        # Without a warning: no subscription is sent imported changes.
        before = self.now - self.keep
        if not self.rights.allow(partitions.DROPPING):
            if partitions.old_past(before, self.using):
                self.report.left.append("imported changes older than RETENTION")
            return
        if self.dry_run and (old := partitions.old_past(before, self.using)):
            self.report.dropped.append(f"{old} imported changes")
        for _ in range(0 if self.dry_run else TRIMS):
            trimmed = partitions.trim_past(before, self.using)
            self.report.trimmed += trimmed
            if trimmed < partitions.TRIM_BATCH:
                return

    def _prune(self) -> None:
        before = self._oldest() or self.now - self.keep
        while not self.dry_run and self.rights.allow(partitions.DROPPING):
            pruned = partitions.prune_requests(before, self.using)
            self.report.requests += pruned
            if pruned < partitions.TRIM_BATCH:
                return

    def _oldest(self) -> float | None:
        return partitions.oldest(feed.present(self.using), self.using)

    def _tell(self, cut: Cut) -> None:
        """Warn of subscriptions that lose changes by a cut."""
        for subscription, cursor in retention_warnings.cursors(self.using):
            if expiry.lacks(cursor, cut.upto, cut.xid):
                logger.warning("pubsubpull: subscription %s has not been sent all of %s, which goes", subscription, cut)
                if self.dry_run and subscription not in self.report.lapsed:
                    self.report.lapsed.append(subscription)

    def _warn(self) -> None:
        """Note the subscriptions that will lose changes soon."""
        present = feed.present(self.using)
        reached = [
            (each, cursor, lag.reached(each, present)) for each, cursor in retention_warnings.cursors(self.using)
        ]
        waited = lag.waits([seen for _, _, seen in reached], present, self.using)
        for subscription, cursor, seen in reached:
            soon = waited.get(seen, 0.0) > LAPSING_PART * self.keep
            if soon and not expiry.lacks(cursor, present.dropped, present.dropped_xid):
                self.report.lapsing.append(subscription)

    def _mark(self) -> None:
        """Mark the subscriptions that have lost changes, and take them from their workers."""
        present = feed.present(self.using)
        for subscription, cursor in retention_warnings.cursors(self.using):
            # A cursor of an unknown history is answered 410 by delivery, which tells more than a lapse.
            known = present.last_tick(cursor.history) is not None
            if not known or not expiry.lacks(cursor, present.dropped, present.dropped_xid):
                continue
            if not self.dry_run and retention_warnings.mark(subscription, self.using):
                self.report.lapsed.append(subscription)

    def _may(self, name: str, functions: Sequence[str]) -> bool:
        """True if the role may do a step. If not, the report names it, for the owner."""
        allowed = self.rights.allow(functions)
        if not allowed:
            self.report.left.append(name)
        return allowed

    def _patiently(self, name: str, function: Callable[..., T], *arguments: object) -> T | None:
        """Return the function's result, after some tries to get its locks; None if other sessions keep them."""
        for pause in (*RETRY_PAUSES, None):
            try:
                return function(*arguments)
            except (OperationalError, IntegrityError) as error:
                # CheckViolation: a row came into the default partition between looking and attaching; the next try
                # sees it.
                if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable | psycopg.errors.CheckViolation):
                    raise
            if pause is not None:
                time.sleep(pause)
        logger.warning("pubsubpull: %s: other sessions have it locked; it is left to the next pass", name)
        self.report.held_up.append(name)
        return None


def run(settings: Settings, *, dry_run: bool = False) -> Report:
    """Do a pass now; return its report. The caller warns of the subscriptions that are lapsing."""
    return Pass(settings, now=clock.now(settings.DATABASE), dry_run=dry_run).run()
