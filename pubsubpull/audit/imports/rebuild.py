"""Rebuilds whole rows from a trail that has only the changed columns.

It starts from the last known row and undoes each change, from the latest to the first. A second pass, from the first
to the latest, fills in the columns that the first pass could not know. A column that no change and no row has stays
unknown, and is left out.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from pubsubpull.wire.ops import DELETE, INSERT, UPDATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Row = dict[str, Any]
"""The known columns of a row, with their values."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One change of an object, as the trail has it."""

    op: str
    """The letter of an insert, an update or a delete."""
    old: Row
    """The columns that the trail has for the row before the change."""
    new: Row
    """The columns that the trail has for the row after the change."""


def rebuild(
    steps: Sequence[Step], end: Row | None, columns: Iterable[str], *, null: Any = None
) -> list[tuple[Row | None, Row | None]]:
    """Return the row before and the row after each step; None if there was no row.

    `end` is the row after the last step, None if it is not known. `columns` are the columns that the trail covers: if
    an insert does not mention one, its value was `null`.
    """
    blank = dict.fromkeys(columns, null)
    backward = _backward(steps, end)
    state: Row = {}
    rows: list[tuple[Row | None, Row | None]] = []
    for step, after in zip(steps, backward, strict=True):
        # The step's own values come last, as they are certain. Later steps override earlier ones: a value that changed
        # without an entry is then part of no change.
        before = None if step.op == INSERT.letter else {**state, **_undone(after, step), **step.old}
        if step.op == INSERT.letter:
            state = {**blank, **after, **step.new}
        elif step.op == UPDATE.letter:
            state = {**state, **after, **step.new}
        rows.append((before, None if step.op == DELETE.letter else state))
        # A later insert may use the key again: it must not get values of the deleted row.
        state = {} if step.op == DELETE.letter else state
    return rows


def _backward(steps: Sequence[Step], end: Row | None) -> list[Row]:
    """Return the columns of the row after each step that later steps and `end` reveal."""
    state = dict(end or {})
    rows: list[Row] = []
    for step in reversed(steps):
        rows.append(state)
        state = (
            dict(step.old) if step.op == DELETE.letter else {} if step.op == INSERT.letter else {**state, **step.old}
        )
    return rows[::-1]


def _undone(after: Row, step: Step) -> Row:
    """Return the columns that an update did not change, from the row after it; empty for an insert or a delete."""
    return {name: value for name, value in after.items() if name not in step.new} if step.op == UPDATE.letter else {}
