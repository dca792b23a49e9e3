"""Erasing what the log knows of an object, on a person's request, with a record that it was done."""

from __future__ import annotations

import dataclasses

from pubsubpull.capture import sql


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """How many changes of an object the log has, and how many of them are erased already."""

    changes: int
    erased: int


def find(using: str, model: str, key: str) -> Found:
    """Return what there is to erase."""
    ((changes, erased),) = sql.run(using, sql.compose("queries/audit/erasable", model=model, key=key))
    return Found(changes=changes, erased=erased)


def erase(using: str, model: str, key: str, *, by: str, reason: str) -> int:
    """Erase the rows, old and new, of each change of an object; return of how many.

    The changes stay, as `erase`, without their rows; readers of the feed pass them by. Seals over them still verify.
    """
    ((erased,),) = sql.run(using, sql.compose("queries/audit/erase", model=model, key=key, by=by, reason=reason))
    return int(erased)
