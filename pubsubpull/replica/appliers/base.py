"""The contract of the appliers: each applies a page to a cohort in one transaction, or declines and does nothing."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

if TYPE_CHECKING:
    from pubsubpull.replica.cohorts import Cohort
    from pubsubpull.replica.pages import Compact, Page

P_contra = TypeVar("P_contra", contravariant=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Applied:
    """A page was applied, and the cohort moved on, perhaps by further pages in the same transaction."""

    cursor: str
    """The cursor to which the cohort was moved."""
    more: bool
    """True if the service had more changes behind the last page."""
    empty: bool = False
    """True if the last page had no changes."""

    @classmethod
    def up_to(cls, last: Page | Compact) -> Applied:
        """Return the outcome after the last page that was applied."""
        return cls(cursor=last.cursor, more=last.more, empty=last.empty)


@dataclasses.dataclass(frozen=True)
class Declined:
    """Nothing was done."""

    reason: str
    """Why, for a person."""
    moved: bool = False
    """True if the cohort is at the page's beginning no more: no other applier can apply it either."""


MOVED = Declined("the cohort is at another cursor by now", moved=True)
"""Another process has applied the page, or some replicas are to be copied."""

Outcome = Applied | Declined


class Applier(Protocol[P_contra]):
    """A way to apply a page."""

    name: ClassVar[str]
    """The name by which outcomes are told."""

    def apply(self, cohort: Cohort, page: P_contra, *, using: str) -> Outcome:
        """Apply a page to a cohort that is at its beginning. Raises `ReplicaFailed`, and what the database does."""


class Further(Protocol):
    """Pulls the pages that an applier needs besides: rows may refer to rows that come in a later page."""

    def whole(self, after: str) -> Page:
        """Pull the page after a cursor."""

    def compact(self, after: str) -> Compact | Page:
        """Pull the page after a cursor in its compact form, or whole if the service has no such form."""
