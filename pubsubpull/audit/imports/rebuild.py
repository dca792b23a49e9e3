"""Whole rows from a trail that has only what changed.

The last known row is taken, and each change is undone, from the latest to the first; where no row is known at the end,
each is done again from the first on. What no change and no row tells of stays unknown: such columns are left out.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from pubsubpull.wire.ops import DELETE, INSERT, UPDATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """A change. `old` and `new` have the columns that the trail names."""

    op: str
    """The letter of an insert, an update or a delete."""
    old: Row
    new: Row


def rebuild(
    steps: Sequence[Step], end: Row | None, columns: Iterable[str], *, null: Any = None
) -> list[tuple[Row | None, Row | None]]:
    """Return the row before and after each step; `end` is the row after the last one, None where that is not known.

    `columns` are those that the trail tells of: one that an insert does not name was `null`.
    """
    blank = dict.fromkeys(columns, null)
    backward = _backward(steps, end)
    state: Row = {}
    made: list[tuple[Row | None, Row | None]] = []
    for step, after in zip(steps, backward, strict=True):
        before = None if step.op == INSERT.letter else {**state, **_undone(after, step), **step.old}
        if step.op == INSERT.letter:
            state = {**blank, **after, **step.new}
        elif step.op == UPDATE.letter:
            state = {**state, **after, **step.new}
        made.append((before, None if step.op == DELETE.letter else state))
        state = {} if step.op == DELETE.letter else state
    return made


def _backward(steps: Sequence[Step], end: Row | None) -> list[Row]:
    """Return what later rows tell of the row after each step."""
    state = dict(end or {})
    found: list[Row] = []
    for step in reversed(steps):
        found.append(state)
        state = (
            dict(step.old) if step.op == DELETE.letter else {} if step.op == INSERT.letter else {**state, **step.old}
        )
    return found[::-1]


def _undone(after: Row, step: Step) -> Row:
    """Return what the row after an update tells of the row before it: what it did not change."""
    return {name: value for name, value in after.items() if name not in step.new} if step.op == UPDATE.letter else {}
