"""The steps of following a service: choose the next work of its replicas, and do it."""

from __future__ import annotations

import functools
import logging
import time
from typing import TYPE_CHECKING

from pubsubpull import exceptions
from pubsubpull.capture import clock
from pubsubpull.log import expiry
from pubsubpull.replica import catch_up, cohorts, positions, prefetch
from pubsubpull.replica.appliers import choose
from pubsubpull.replica.appliers.base import Applied
from pubsubpull.replica.appliers.compact import CompactPages
from pubsubpull.replica.copy import ranges
from pubsubpull.replica.errors import constraint_errors
from pubsubpull.replica.handlers import declare as handlers
from pubsubpull.replica.models import Copy
from pubsubpull.replica.parking import actions
from pubsubpull.replica.sizes import STANDARD_SIZES, PageLimit, Sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pubsubpull.pull.client import Client
    from pubsubpull.replica.appliers.base import Outcome
    from pubsubpull.replica.cohorts import Cohort, Snapshot
    from pubsubpull.replica.pages import Compact, Page
    from pubsubpull.replica.prefetch import Prefetcher, Puller
    from pubsubpull.replica.services import Service

logger = logging.getLogger(__name__)
AT_A_TIME = 1.0
"""The seconds for which one cohort may apply pages before other work gets a turn."""


class Steps:
    """Takes steps for the replicas of one service. A failing replica waits alone, and the others go on."""

    def __init__(
        self,
        service: Service,
        *,
        using: str,
        workers: int = 2,
        sizes: Sizes = STANDARD_SIZES,
        progress: Callable[[ranges.Progress], None] = lambda _: None,
        observe: Callable[[str, Outcome], object] = lambda _applier, _outcome: None,
        stopping: Callable[[], bool] = lambda: False,
        spare: bool = False,
    ) -> None:
        self.prefetcher: Prefetcher | None = None
        self.limit = PageLimit()
        self._service = service
        self._using = using
        self._workers = workers
        self._sizes = sizes
        self._progress = progress
        self._tell = observe
        self._stopping = stopping
        self._spare = spare

    def snapshot(self) -> Snapshot:
        """Return the positions of the service's replicas as they are now."""
        return cohorts.snapshot(self._service.name, self._using, clock.moment(self._using))

    def copy(self, failed: list[exceptions.ReplicaFailed]) -> bool:
        """Copy the rows of replicas that have none or must be copied again; return True if there were such replicas."""
        cohort = self.snapshot().to_copy(without=[error.name for error in failed])
        if cohort is None:
            return False
        try:
            return self._guard(functools.partial(self._copy, cohort), failed)
        except exceptions.CursorExpired:
            self._begin_anew(cohort)
            return True

    def step(
        self,
        client: Client,
        *,
        wait: float = 0.0,
        failed: list[exceptions.ReplicaFailed] | None = None,
        snapshot: Snapshot | None = None,
    ) -> bool:
        """Apply the next changes; return True if there may be more to do at once.

        `wait` is the number of seconds for which the service may hold a call. Failures are appended to `failed`.
        """
        failed = [] if failed is None else failed
        following = (snapshot or self.snapshot()).cohorts(without=[error.name for error in failed])
        laggards = [cohort for cohort in following[1:] if cohort.cursor != following[0].cursor]
        for laggard in laggards:
            if self._guard(functools.partial(self.catch_up, following, laggard, client), failed):
                return True
        if not following:
            return False
        return self._guard(functools.partial(self.advance, following[0], client, 0.0 if laggards else wait), failed)

    def catch_up(self, following: Sequence[Cohort], laggard: Cohort, client: Client) -> bool:
        """Bring a laggard to the cursor of the largest cohort; return True if the laggard needs a further step.

        A laggard that is far behind applies page by page. If its rows refer to rows that another cohort still has to
        apply, all cohorts catch up together.
        """
        page = self._pull(laggard, client)
        if page is None:
            return True
        try:
            if page.more:
                return isinstance(self._apply(laggard, page), Applied)
            return self._catch_up_together(following[0], [laggard], client)
        except exceptions.ReplicaFailed as error:
            here = {effect.name for cohort in following for effect in cohort.members}
            in_vain = error.needs is not None and error.needs not in here
            if in_vain or not constraint_errors.lacks_row(error) or (len(following) == 2 and not page.more):
                raise
        return self._catch_up_together(following[0], following[1:], client)

    def advance(self, cohort: Cohort, client: Client, wait: float = 0.0) -> bool:
        """Apply page after page for at most `AT_A_TIME` seconds; return True if there may be more."""
        end, came = time.monotonic() + AT_A_TIME, False
        while True:
            page = self._next_page(cohort, client, wait)
            if page is None or page.cursor == page.previous:
                return page is None or page.more or came
            if page.empty and self._spare:
                return page.more or came  # The cursor stays: the next push is accepted only at this cursor.
            outcome = self._apply_next(cohort, page, client)
            came = came or not page.empty
            if not isinstance(outcome, Applied):
                return True
            self.limit.taken()
            if (outcome.empty and not outcome.more) or time.monotonic() > end or self._stopping():
                return outcome.more or came
            cohort = cohort.moved(outcome.cursor)

    def _catch_up_together(self, leaders: Cohort, laggards: Sequence[Cohort], client: Client) -> bool:
        late = [catch_up.Laggard(cohort=cohort, start=cohort.cursor) for cohort in laggards]

        def pull(sources: list[str], after: str) -> Page:
            return self._puller(client, sources).whole(after)

        try:
            with catch_up.gather(leaders, late, pull) as gathered:
                catch_up.catch_up_together(gathered, using=self._using)
        except exceptions.CursorExpired:
            return False  # Swallowed: the cohort with the expired cursor handles this when it pulls for itself.
        return True

    def _guard(self, act: Callable[[], bool], failed: list[exceptions.ReplicaFailed]) -> bool:
        """Return the result of `act`. If a replica fails, record its failure and return True: the others go on."""
        try:
            return act()
        except exceptions.ReplicaFailed as error:
            wait = positions.fail(error, self._using, clock.moment(self._using))
            # After `fail`, whose count decides.
            if actions.is_due(error, self._using) and self._park(error.name):
                return True
            logger.warning("Replica %s: %s; again in %.1f s", error.name, error.reason, wait)
            failed.append(error)
            return True

    def _park(self, name: str) -> bool:
        """Park the change on which a replica fails; return True if the replica can go on."""
        try:
            with self._service.client() as client:
                return actions.park(name, client, using=self._using, sizes=self._sizes) is not None
        except exceptions.ReplicaError as error:
            logger.warning("%s", error)  # Swallowed: a change that cannot be parked keeps its replica waiting.
            return False

    def _copy(self, cohort: Cohort) -> bool:
        ranges.copy(
            cohort,
            self._service.client,
            workers=self._workers,
            sizes=self._sizes,
            using=self._using,
            progress=self._progress,
            stopping=self._stopping,
        )
        return True

    def _apply(self, cohort: Cohort, page: Page | Compact, further: Puller | None = None) -> Outcome:
        return choose.apply_page(
            cohort, page, further=further, sizes=self._sizes, observe=self._observe, using=self._using
        )

    def _observe(self, applier: str, outcome: Outcome) -> None:
        if self.prefetcher and applier == CompactPages.name and not isinstance(outcome, Applied) and not outcome.moved:
            self.prefetcher.prefer_whole()  # The next pages are likely to be declined for the same reason.
        self._tell(applier, outcome)

    def _apply_next(self, cohort: Cohort, page: Page | Compact, client: Client) -> Outcome | None:
        """Return the outcome of a page; None if the log no longer has a further page that it needs.

        Then all rows of the cohort are copied again.
        """
        try:
            return self._apply(cohort, page, self._puller(client, cohort.sources))
        except exceptions.CursorExpired as error:
            self._expire(cohort, error)
            return None

    def _puller(self, client: Client, sources: Sequence[str]) -> Puller:
        old = handlers.any_of(self._service.name)
        return prefetch.Puller(client=client, sources=tuple(sources), old=old, sizes=self._sizes)

    def _pull(self, cohort: Cohort, client: Client, wait: float = 0.0) -> Page | None:
        """Return the page after a cohort's cursor; None if the log no longer has it and all rows are copied again."""
        try:
            return self._puller(client, cohort.sources).whole(cohort.cursor, wait=wait, limit=self.limit.value)
        except exceptions.CursorExpired as error:
            self._expire(cohort, error)
            return None

    def _next_page(self, cohort: Cohort, client: Client, wait: float) -> Page | Compact | None:
        """Return the page as `_pull` does, in the compact form if possible, and prefetch its successor."""
        if self.prefetcher is None:
            return self._pull(cohort, client, wait)
        puller, compact = self._puller(client, cohort.sources), choose.takes_compact(cohort)
        try:
            return self.prefetcher.page(puller, cohort.cursor, wait=wait, compact=compact, limit=self.limit.value)
        except exceptions.CursorExpired as error:
            self._expire(cohort, error)
            return None

    def _begin_anew(self, cohort: Cohort) -> None:
        """Forget a copy after the log has dropped changes that the copy, or a cohort to join, still needs."""
        Copy.objects.using(self._using).filter(service=self._service.name).delete()
        others = self.snapshot().to_join([effect.name for effect in cohort.members])
        with self._service.client() as client:
            for each in [cohort] * bool(cohort.cursor) + others:
                self._pull(each, client)  # Pulling shows which of the cohorts has the expired cursor.

    def _expire(self, cohort: Cohort, error: exceptions.CursorExpired) -> None:
        why = str(error).removesuffix(expiry.EXPIRED).strip()  # This advice is for pulling by hand.
        names = ", ".join(effect.name for effect in cohort.members)
        text = "%s: %s All rows of %s are copied again. Handlers are not called for these rows."
        logger.warning(text, self._service.name, why, names)
        positions.copy_again(cohort.members, self._using, expired=True)
