"""The time, by the clock of the database: the clocks of several machines may disagree.

A process asks the database for the time once in a while. In between it counts on by its own monotonic clock.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

from django.db import DEFAULT_DB_ALIAS

from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Callable

STALE = 60.0
"""Seconds after which the database is asked for the time again."""


class Clock:
    """The time of one database, in unix seconds."""

    def __init__(self, count: Callable[[], float] = time.monotonic) -> None:
        """Create a clock that counts on by `count`, a monotonic clock in seconds."""
        self.count = count
        self._offset: float | None = None
        self._set_at = float("-inf")

    def tell(self, seconds: float, *, asked: float) -> None:
        """Set the clock to the database's answer `seconds`; `asked` is the reading of `count` before the question."""
        now = self.count()
        # The database read its clock at some moment of the round trip: the middle halves the largest error.
        self._offset, self._set_at = seconds - (asked + now) / 2, now

    @property
    def stale(self) -> bool:
        """True if the database should be asked again."""
        return self.count() - self._set_at > STALE

    def now(self) -> float:
        """Return the database's time; this machine's time if the database was never asked."""
        return time.time() if self._offset is None else self.count() + self._offset


_clocks: dict[str, Clock] = {}


def of(using: str = DEFAULT_DB_ALIAS) -> Clock:
    """Return the clock of a database. It may not have been set yet."""
    return _clocks.setdefault(using, Clock())


def ask(using: str) -> None:
    """Ask a database for its time, and set its clock."""
    clock = of(using)
    # Before the query: `tell` takes the middle of the round trip.
    asked = clock.count()
    ((seconds,),) = sql.run(using, sql.template("queries/session/clock"))
    clock.tell(seconds, asked=asked)


def now(using: str = DEFAULT_DB_ALIAS) -> float:
    """Return the time of a database in unix seconds. Ask the database first if its clock is stale."""
    clock = of(using)
    if clock.stale:
        ask(using)
    return clock.now()


def moment(using: str = DEFAULT_DB_ALIAS) -> dt.datetime:
    """Return the time of a database as an aware datetime in UTC."""
    return dt.datetime.fromtimestamp(now(using), dt.UTC)
