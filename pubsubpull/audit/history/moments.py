"""`as_of()`: the row of an object at a moment in the past."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from pubsubpull import conf, exceptions
from pubsubpull.audit.history import history, results, targets
from pubsubpull.capture import hiding, sql
from pubsubpull.log import spans
from pubsubpull.wire import ops

if TYPE_CHECKING:
    import datetime as dt

    from django.db import models as django_models

RECENT_CHANGES = 30
"""Changes of an object that are examined before the log is searched by time."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class State:
    """A row at a moment."""

    version: int
    """The version of the change that made the row so; 0 if it was so before the log began."""
    data: dict[str, Any]
    """The row, by column."""


def as_of(
    model: type[django_models.Model] | str, key: Any, when: dt.datetime, *, using: str | None = None
) -> State | None:
    """Return the row of an object at a moment; None if there was no row then. `when` needs a time zone if USE_TZ is on.

    A change counts from the time of its statement, not from the end of its transaction.

    Raises `HistoryError` if the log has no change of the object. Raises `HistoryErased` if the row was erased on
    request, and `HistoryUncaptured` if capture was off then; but not if the next change in the log recorded that row.
    """
    name, text = targets.identify(model, key, using=using)
    moment = history.aware("when", when)
    row = row_as_of(name, text, moment, using=using or conf.get().DATABASE)
    if row is None:
        raise exceptions.HistoryError(
            f"The log has no change of {name} {text}: either it has not changed since the log began, or it never "
            "existed."
        )
    data = results.row_of(row[1])
    return None if data is None else State(version=row[0], data=data)


def row_as_of(
    name: str, key: str, moment: dt.datetime | None, *, using: str, recent: int = RECENT_CHANGES
) -> tuple[int, str | None] | None:
    """Return the version and the JSON text of a row at a moment; None if the log has no change of it at all.

    The text is None if there was no row. The latest `recent` changes are examined before the log is searched by time.
    Raises `HistoryErased` and `HistoryUncaptured`.
    """
    hidden = hiding.hidden([name])
    images = {image: hiding.shown(image, hidden) for image in ("old", "new")}
    images |= {f"c_{image}": hiding.shown(image, hidden, alias="c") for image in ("old", "new")}
    # From the lowest id on: imported changes have ids below 0.
    parts = {"model": name, "key": key, "moment": moment, "first": -spans.LATEST, **images}
    rows = sql.run(using, sql.compose("queries/history/as_of", **parts, ceiling=spans.LATEST, most=recent))
    # The first column says that the object has more changes than were examined: now find its part of the log by time.
    if rows and rows[0][0] and moment is not None:
        _, ceiling = spans.bounds(None, moment, using)
        rows = sql.run(using, sql.compose("queries/history/as_of", **parts, ceiling=ceiling, most=spans.LATEST))
    try:
        return state_between(
            max((row for _, is_past, *row in rows if is_past), default=None),
            min((row for _, is_past, *row in rows if not is_past), default=None),
        )
    except exceptions.HistoryErased as error:
        raise exceptions.HistoryErased(f"The row of {name} {key} at that moment has been erased on request.") from error
    except exceptions.HistoryUncaptured as error:
        raise exceptions.HistoryUncaptured(
            f"The row of {name} {key} at that moment is not known: capture of {name} was switched off."
        ) from error


def state_between(past: list[Any] | None, following: list[Any] | None) -> tuple[int, str | None] | None:
    """Return the version and the row between two changes, each a list of id, op, old and new; None without changes.

    Raises `HistoryErased` or `HistoryUncaptured` if neither change recorded the row.
    """
    if past and past[1] not in {ops.ERASE.letter, ops.UNCAPTURED.letter}:
        return past[0], past[3]
    # The change before does not tell: but the change after has the row that it found as its old row.
    if following and following[1] not in {ops.ERASE.letter, ops.ERASED_DELETE.letter, ops.UNCAPTURED.letter}:
        return past[0] if past else 0, following[2]
    if ops.UNCAPTURED.letter in {change[1] for change in (past, following) if change}:
        raise exceptions.HistoryUncaptured
    if past or following:
        raise exceptions.HistoryErased
    return None
