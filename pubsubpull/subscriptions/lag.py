"""The lag of subscriptions: how far they are behind the log."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pubsubpull import exceptions
from pubsubpull.capture import clock, sql
from pubsubpull.log import cursor
from pubsubpull.subscriptions import backfill_position

if TYPE_CHECKING:
    from collections.abc import Collection

    from pubsubpull.log.present import Present
    from pubsubpull.subscriptions.models import Subscription


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lag:
    """The lag of a subscription, estimated from the versions."""

    changes: int
    """How many versions were given out after its cursor, for any model, and for rolled back changes, too."""
    seconds: float
    """How long the first of these changes has waited; during a backfill, at least the time since its start."""


def reached(subscription: Subscription, present: Present) -> int:
    """Return the version that a subscription has reached; the present's if its cursor is unreadable."""
    return reached_by(subscription.cursor, present)


def reached_by(text: str, present: Present) -> int:
    """Return the version that a stored cursor has reached; the present's if it is unreadable."""
    try:
        # Swallowed: one unreadable cursor must not break the list of all subscriptions.
        return cursor.reached(text)
    except exceptions.CursorInvalid:
        return present.seq


def waits(versions: Collection[int], present: Present, using: str) -> dict[int, float]:
    """Return how long the first change after each version has been waiting, in seconds.

    A version that the present has not passed is left out: nothing waits behind it.
    """
    behind = sorted({version for version in versions if version < present.seq})
    # One query for all: each is a search in the log, and a page has many subscriptions.
    return dict(sql.run(using, sql.compose("queries/delivery/lags", seen=behind))) if behind else {}


def of(subscriptions: Collection[Subscription], present: Present, using: str) -> list[Lag]:
    """Return the lag of each subscription, in their order."""
    versions = [reached(subscription, present) for subscription in subscriptions]
    waited = waits(versions, present, using)
    return [
        Lag(
            changes=max(present.seq - version, 0),
            seconds=max(waited.get(version, 0.0), _backfilling(subscription, using)),
        )
        for subscription, version in zip(subscriptions, versions, strict=True)
    ]


def _backfilling(subscription: Subscription, using: str) -> float:
    """Return the time since the backfill began, in seconds; 0 if none is under way."""
    position = backfill_position.decode(subscription.backfill)
    return 0.0 if position is None else max(clock.now(using) - position.at, 0.0)
