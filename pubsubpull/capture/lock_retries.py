"""Locks on tables that applications write to: asked for a moment at a time, so that no writer waits behind us."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, LiteralString

import psycopg
from django.db import OperationalError, transaction
from psycopg import sql as psql

from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    T = TypeVar("T")

MOMENT = 50
"""How long a lock is waited for, in milliseconds: writers that come meanwhile wait as long."""
PAUSE, LONGEST = 0.1, 2.0
"""Seconds between two tries, from the first to the longest: those who waited are to get on, and the next ones, too."""
TELL = 5.0
"""How often it is told who holds up what is due, in seconds."""


def change(table: tuple[str, str], work: Callable[[], object], *, mode: LiteralString, using: str) -> bool:
    """Do some work on a table, in a transaction that has it locked; say whether the lock was to be had at once.

    `mode` is what the work needs: with `SHARE ROW EXCLUSIVE` others may read on, with `ACCESS EXCLUSIVE` not. All of
    the table's partitions are locked with it, in one statement that has a limit, so that no lock is waited for while
    others are held.
    """
    ((lock, statement),) = sql.run(using, sql.template("queries/locks/limits"))
    try:
        with transaction.atomic(using=using):
            _limit(f"{MOMENT}ms", f"{MOMENT}ms", using)
            sql.run(using, sql.compose("queries/locks/table", table=psql.Identifier(*table), mode=psql.SQL(mode)))
            _limit(lock, statement, using)  # what is left needs no lock that it does not have
            work()
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.LockNotAvailable | psycopg.errors.QueryCanceled):
            return False
        raise
    return True


def each(
    places: Iterable[T],
    attempt: Callable[[T], bool],
    *,
    within: float,
    waiting: Callable[[list[T]], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> list[T]:
    """Try each place until it is done, for so many seconds, with growing pauses; return those that are left.

    `waiting` is told now and then what is held up.
    """
    left = list(places)
    end, pause, told = clock() + within, PAUSE, float("-inf")
    while left := [place for place in left if not attempt(place)]:
        now = clock()
        if now >= end:
            break
        if now - told >= TELL:
            told = now
            waiting(left)
        sleep(min(pause * random.uniform(0.7, 1.3), end - now))  # noqa: S311  not for secrets
        pause = min(pause * 1.5, LONGEST)
    return left


def holders(table: tuple[str, str], using: str) -> str:
    """Say who has a lock on a table: `the process 4711 (nightly, a transaction of 312 s)`; empty where nobody has."""
    found = sql.run(using, sql.compose("queries/locks/holders", table=psql.Identifier(*table).as_string()))
    return ", ".join(
        f"the process {pid} ({f'{name}, ' if name else ''}a transaction of {seconds:.0f} s)"
        for pid, name, seconds in found
    )


def _limit(lock: str, statement: str, using: str) -> None:
    sql.run(using, sql.compose("queries/locks/limit", lock=lock, statement=statement))
