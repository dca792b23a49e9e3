"""The one place that chooses how a page is applied: which form to ask for, and which appliers to try in which order.

| page | appliers, in order | declined |
| --- | --- | --- |
| compact | `CompactPages` | the page is pulled whole, and goes on below |
| whole | `SingleMessage`, `StagedPages` | another process has applied it |
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pubsubpull.replica import pages
from pubsubpull.replica.appliers.base import Applied
from pubsubpull.replica.appliers.compact import CompactPages
from pubsubpull.replica.appliers.single_message import SingleMessage
from pubsubpull.replica.appliers.staged import StagedPages
from pubsubpull.replica.sizes import STANDARD_SIZES, Sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    from pubsubpull.replica.appliers.base import Further, Outcome
    from pubsubpull.replica.cohorts import Cohort
    from pubsubpull.replica.pages import Compact, Page

logger = logging.getLogger(__name__)


def takes_compact(cohort: Cohort) -> bool:
    """Return True if compact pages will do for a cohort: no function looks at a row, and no handler at a change."""
    return not cohort.apart and all(effect.plain() for effect in cohort.effects)


def apply_page(
    cohort: Cohort,
    page: Page | Compact,
    *,
    further: Further | None = None,
    sizes: Sizes = STANDARD_SIZES,
    observe: Callable[[str, Outcome], object] = lambda _applier, _outcome: None,
    using: str,
) -> Outcome:
    """Apply a page to a cohort by the first applier that does. Raises `ReplicaFailed`, and what pulling further does.

    `observe` is called with each applier's name and its outcome.
    """
    if isinstance(page, pages.Compact):
        if further is None:
            raise TypeError("A compact page needs to be pulled whole if it does not do.")
        outcome = CompactPages(further=further, sizes=sizes).apply(cohort, page, using=using)
        observe(CompactPages.name, outcome)
        if isinstance(outcome, Applied) or outcome.moved:
            return outcome
        logger.debug("%s: the page after %s is pulled whole: %s", cohort.service, page.previous, outcome.reason)
        page = further.whole(page.previous)
    outcome = SingleMessage(sizes=sizes).apply(cohort, page, using=using)
    observe(SingleMessage.name, outcome)
    if isinstance(outcome, Applied):
        return outcome
    outcome = StagedPages(further=further).apply(cohort, page, using=using)
    observe(StagedPages.name, outcome)
    return outcome
