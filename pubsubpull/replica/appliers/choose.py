"""The choice of an applier: the form in which pages are pulled, and the order in which appliers are tried.

| page | appliers, in order | if all decline |
| --- | --- | --- |
| compact | `CompactPages` | pull the page whole, and apply it as below |
| whole | `SingleMessage`, `StagedPages` | another process has applied the page |
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
    """Return True if a cohort can take compact pages: no Python function looks at a row or change."""
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
    """Apply a page to a cohort by the first applier that does not decline.

    `further` pulls further pages where rows refer to them. `observe` is called with each applier's name and outcome.
    Raises `ReplicaFailed` and the errors of `further`.
    """
    if isinstance(page, pages.Compact):
        if further is None:
            raise TypeError("A compact page needs `further`, to pull the page whole if the applier declines.")
        outcome = CompactPages(further=further, sizes=sizes).apply(cohort, page, using=using)
        observe(CompactPages.name, outcome)
        if isinstance(outcome, Applied) or outcome.moved:
            return outcome
        logger.debug("%s: the page after %s is pulled whole: %s", cohort.service, page.previous, outcome.reason)
        page = further.whole(page.previous)  # From the same cursor: the transaction that declined moved nothing.
    # The cheap applier first: most pages of a live feed are small, and it needs a single round trip.
    outcome = SingleMessage(sizes=sizes).apply(cohort, page, using=using)
    observe(SingleMessage.name, outcome)
    if isinstance(outcome, Applied):
        return outcome
    outcome = StagedPages(further=further).apply(cohort, page, using=using)
    observe(StagedPages.name, outcome)
    return outcome
