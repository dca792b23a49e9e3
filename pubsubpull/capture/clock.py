"""The one clock: the database's. What this machine believes the time to be decides nothing.

The database is asked what time it is, and from there on this process counts by itself, by a clock that nobody sets.
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
"""For how many seconds it is counted on from what the database said; then it is asked again."""


class Clock:
    """The time of one database, in unix seconds, as far as it has been told."""

    def __init__(self, count: Callable[[], float] = time.monotonic) -> None:
        self.count = count
        self._ahead: float | None = None
        self._told = float("-inf")

    def tell(self, seconds: float, *, asked: float) -> None:
        """Take note that the database answered `seconds` to who asked at `asked`, by the counting clock."""
        now = self.count()
        self._ahead, self._told = seconds - (asked + now) / 2, now

    @property
    def stale(self) -> bool:
        """Say whether the database is to be asked again."""
        return self.count() - self._told > STALE

    def now(self) -> float:
        """Return the time; that of this machine where the database has never been asked."""
        return time.time() if self._ahead is None else self.count() + self._ahead


_clocks: dict[str, Clock] = {}


def of(using: str = DEFAULT_DB_ALIAS) -> Clock:
    """Return the clock of a database, which may not have been asked yet."""
    return _clocks.setdefault(using, Clock())


def ask(using: str) -> None:
    """Ask a database what time it is."""
    clock = of(using)
    asked = clock.count()
    ((seconds,),) = sql.run(using, sql.template("queries/session/clock"))
    clock.tell(seconds, asked=asked)


def now(using: str = DEFAULT_DB_ALIAS) -> float:
    """Return the time of a database, in unix seconds; it is asked where it has not been for a while."""
    clock = of(using)
    if clock.stale:
        ask(using)
    return clock.now()


def moment(using: str = DEFAULT_DB_ALIAS) -> dt.datetime:
    """Return the time of a database, as `now` does, in UTC."""
    return dt.datetime.fromtimestamp(now(using), dt.UTC)
