"""The search for the one change in a page that its receiver does not take: by halves."""

from __future__ import annotations

import dataclasses
import enum


class Step(enum.Enum):
    """What follows on a failure."""

    WAIT = "wait"
    HALVE = "halve"
    SET_ASIDE = "set aside"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """The next `left` changes are under suspicion; `size` of them are sent next."""

    left: int
    size: int


def step(*, sets_aside: bool, refused: bool, attempts: int, limit: int, count: int, searching: bool) -> Step:
    """Return what follows on a failure, the `attempts`th in a row, of a notification with `count` changes.

    Only a refusal says anything of the changes: where nobody answers, or is busy, nothing is ever set aside. Nor is
    what has no changes, as the end of a model without rows.
    """
    if not sets_aside or not refused or not count or (attempts < limit and not searching):
        return Step.WAIT
    return Step.HALVE if count > 1 else Step.SET_ASIDE


def narrowed(count: int) -> Search:
    """Return the search in so many changes (2 or more) that were refused together: of 7, the first 3 are sent next."""
    return Search(left=count, size=count // 2)


def passed(search: Search | None, count: int) -> Search | None:
    """Return what is left to search once so many were taken: the one is among the rest, or there is none any more.

    After 3 of 7 were taken, it is among the other 4, of which 2 are sent next.
    """
    if search is None or search.left <= count:
        return None
    left = search.left - count
    return Search(left=left, size=max(left // 2, 1))
