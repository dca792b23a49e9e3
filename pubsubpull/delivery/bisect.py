"""Bisection: the search, by halves, for the one change in a page that the receiver refuses."""

from __future__ import annotations

import dataclasses
import enum


class Step(enum.Enum):
    """The next step after a failure."""

    WAIT = "wait"
    """Send the same page again, later."""
    HALVE = "halve"
    """Send the first half of the page alone."""
    SET_ASIDE = "set aside"
    """Make the page's one change a dead letter."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """A search under way."""

    left: int
    """How many of the next changes may include the refused one."""
    size: int
    """How many of them are sent next."""


def step(*, sets_aside: bool, refused: bool, attempts: int, limit: int, count: int, searching: bool) -> Step:
    """Return the step after the `attempts`th failure in a row of a notification with `count` changes.

    Only a refusal is about the changes: while a receiver is away or busy, nothing is set aside. A notification without
    changes, such as the end of a model without rows, is not set aside either.
    """
    if not sets_aside or not refused or not count or (attempts < limit and not searching):
        return Step.WAIT
    return Step.HALVE if count > 1 else Step.SET_ASIDE


def reject(count: int) -> Search:
    """Return the search in 2 or more changes that were refused together: of 7, the first 3 are sent next."""
    return Search(left=count, size=count // 2)


def accept(search: Search | None, count: int) -> Search | None:
    """Return the search after `count` changes were taken; None once no suspects are left.

    After 3 of 7 were taken, the refused change is among the other 4, of which 2 are sent next.
    """
    if search is None or search.left <= count:
        return None
    left = search.left - count
    return Search(left=left, size=max(left // 2, 1))
