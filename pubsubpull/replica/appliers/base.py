"""The contract of the appliers: apply a page to a cohort in one transaction, or decline and change nothing."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

if TYPE_CHECKING:
    from pubsubpull.replica.cohorts import Cohort
    from pubsubpull.replica.pages import Compact, Page

P_contra = TypeVar("P_contra", contravariant=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Applied:
    """The outcome of an applied page, perhaps together with further pages in the same transaction."""

    cursor: str
    """The cursor after the last applied page; the cohort was moved to it."""
    more: bool
    """True if the service had more changes after the last page."""
    empty: bool = False
    """True if the last page had no changes."""

    @classmethod
    def up_to(cls, last: Page | Compact) -> Applied:
        """Return the outcome, given the last applied page."""
        return cls(cursor=last.cursor, more=last.more, empty=last.empty)


@dataclasses.dataclass(frozen=True)
class Declined:
    """The outcome of a page that an applier left alone."""

    reason: str
    """The reason, for the log."""
    moved: bool = False
    """True if the cohort has left the cursor before the page: then no other applier can apply the page either."""


MOVED = Declined("the cohort is at another cursor by now", moved=True)
"""Another process has applied the page, or some replicas must be copied again."""

Outcome = Applied | Declined


class Applier(Protocol[P_contra]):
    """A way to apply a page."""

    name: ClassVar[str]
    """The name that `observe` gets with each outcome."""

    def apply(self, cohort: Cohort, page: P_contra, *, using: str) -> Outcome:
        """Apply a page to a cohort at the cursor before it. Raises `ReplicaFailed` and the errors of the database."""


class Further(Protocol):
    """Pulls further pages for an applier: the rows of a page may refer to rows of a later page."""

    def whole(self, after: str) -> Page:
        """Return the page after a cursor."""

    def compact(self, after: str) -> Compact | Page:
        """Return the page after a cursor in the compact form, or whole if the service has no compact form."""
