"""How an object was at a moment."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from pubsubpull import conf, exceptions
from pubsubpull.audit.history import history
from pubsubpull.capture import hiding, sql
from pubsubpull.log import spans
from pubsubpull.wire import ops

if TYPE_CHECKING:
    import datetime as dt

    from django.db import models as django_models

RECENT = 30
"""Of an object with more changes than these, a moment is looked for by time first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class State:
    """A row as it was: `version` is the change that made it so, 0 where that was before the log began."""

    version: int
    data: dict[str, Any]


def as_of(
    model: type[django_models.Model] | str, key: Any, when: dt.datetime, *, using: str | None = None
) -> State | None:
    """Return an object as it was at a moment, None where it was not there. Raises `HistoryError` where none can know.

    A change counts from the time of its statement, not from that of its transaction's end. What was erased is known
    where the next change found it so; where it is not, `HistoryErased` is raised. What changed while capture was
    off is known in the same way; where it is not, `HistoryUncaptured` is raised.
    """
    name, text = history.identify(model, key, using=using)
    moment = history.aware("when", when)
    found = found_as_of(name, text, moment, using=using or conf.get().DATABASE)
    if found is None:
        raise exceptions.HistoryError(
            f"The log has no change of {name} {text}: it is now as it was when the log began, or it never was."
        )
    data = history.row_of(found[1])
    return None if data is None else State(version=found[0], data=data)


def found_as_of(
    name: str, key: str, moment: dt.datetime | None, *, using: str, recent: int = RECENT
) -> tuple[int, str | None] | None:
    """Return the version and the JSON text of a row at a moment; None where the log has no change of it at all.

    The latest `recent` changes are looked at first. Raises `HistoryErased` and `HistoryUncaptured`.
    """
    what = hiding.hidden([name])
    images = {image: hiding.shown(image, what) for image in ("old", "new")}
    images |= {f"c_{image}": hiding.shown(image, what, alias="c") for image in ("old", "new")}
    given = {"model": name, "key": key, "moment": moment, "first": -spans.LATEST, **images}
    found = sql.run(using, sql.compose("queries/history/as_of", **given, ceiling=spans.LATEST, most=recent))
    if found and found[0][0] and moment is not None:
        # It may be far back: where in the log it is, is found by time.
        _, ceiling = spans.bounds(None, moment, using)
        found = sql.run(using, sql.compose("queries/history/as_of", **given, ceiling=ceiling, most=spans.LATEST))
    try:
        return state_between(
            max((row for _, is_past, *row in found if is_past), default=None),
            min((row for _, is_past, *row in found if not is_past), default=None),
        )
    except exceptions.HistoryErased as error:
        raise exceptions.HistoryErased(f"What {name} {key} was then has been erased on request.") from error
    except exceptions.HistoryUncaptured as error:
        raise exceptions.HistoryUncaptured(
            f"What {name} {key} was then is not known: capture of {name} had been switched off."
        ) from error


def state_between(past: list[Any] | None, following: list[Any] | None) -> tuple[int, str | None] | None:
    """Return the version and the row between two changes, each a list of id, op, old and new; None without any.

    The change before tells it. Where there is none, it was erased or capture was off, the one after does: what that
    found.
    """
    if past and past[1] not in {ops.ERASE.letter, ops.UNCAPTURED.letter}:
        return past[0], past[3]
    if following and following[1] not in {ops.ERASE.letter, ops.ERASED_DELETE.letter, ops.UNCAPTURED.letter}:
        return past[0] if past else 0, following[2]
    if ops.UNCAPTURED.letter in {one[1] for one in (past, following) if one}:
        raise exceptions.HistoryUncaptured
    if past or following:
        raise exceptions.HistoryErased
    return None
