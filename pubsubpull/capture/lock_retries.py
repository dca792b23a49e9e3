"""Takes locks on tables that applications write to, a moment at a time, so that no writer waits behind us."""

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

LOCK_TIMEOUT_MS = 50
"""Milliseconds to wait for a lock. Writers that queue behind the request wait as long."""
FIRST_LOCK_PAUSE, LONGEST_LOCK_PAUSE = 0.1, 2.0
"""Seconds between two attempts: the first pause and the longest. Writers that queued get on in it."""
REPORT_EVERY = 5.0
"""Seconds between two reports on the tables that are still locked."""


def change(table: tuple[str, str], work: Callable[[], object], *, mode: LiteralString, using: str) -> bool:
    """Lock a table and do some work on it in one transaction; return False if another transaction has the lock.

    `mode` is a lock mode of PostgreSQL: with `SHARE ROW EXCLUSIVE` others may go on reading, with `ACCESS EXCLUSIVE`
    not. One statement locks the table with all of its partitions.
    """
    # Read before the transaction changes them: it sets them back after the lock.
    ((lock, statement),) = sql.run(using, sql.template("queries/locks/limits"))
    try:
        with transaction.atomic(using=using):
            # lock_timeout holds for each lock, statement_timeout for all partitions together: while the statement
            # waits for the lock of one partition, it holds those of others, and their writers wait.
            _limit(f"{LOCK_TIMEOUT_MS}ms", f"{LOCK_TIMEOUT_MS}ms", using)
            sql.run(using, sql.compose("queries/locks/table", table=psql.Identifier(*table), mode=psql.SQL(mode)))
            # The session's own limits again: the work needs no other lock, and may take its time.
            _limit(lock, statement, using)
            work()
    except OperationalError as error:
        # No error for the caller: another attempt follows.
        if isinstance(error.__cause__, psycopg.errors.LockNotAvailable | psycopg.errors.QueryCanceled):
            return False
        raise
    return True


def each(
    items: Iterable[T],
    attempt: Callable[[T], bool],
    *,
    within: float,
    waiting: Callable[[list[T]], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> list[T]:
    """Attempt each item until it succeeds, for `within` seconds, with growing pauses; return the items that are left.

    `attempt` returns True if it succeeded. `waiting` is called every 5 seconds with the items that are left.
    """
    left = list(items)
    end, pause, reported = clock() + within, FIRST_LOCK_PAUSE, float("-inf")
    while left := [item for item in left if not attempt(item)]:
        now = clock()
        # After the attempts, so that each item has one even if `within` is 0.
        if now >= end:
            break
        if now - reported >= REPORT_EVERY:
            reported = now
            waiting(left)
        # Random, so that two processes which collided do not collide again.
        sleep(min(pause * random.uniform(0.7, 1.3), end - now))  # noqa: S311  not for secrets
        pause = min(pause * 1.5, LONGEST_LOCK_PAUSE)
    return left


def holders(table: tuple[str, str], using: str) -> str:
    """Return a text that names the processes with a lock on a table; empty if no process has one.

    As in `the process 4711 (nightly, a transaction of 312 s)`.
    """
    processes = sql.run(using, sql.compose("queries/locks/holders", table=psql.Identifier(*table).as_string()))
    return ", ".join(
        f"the process {pid} ({f'{name}, ' if name else ''}a transaction of {seconds:.0f} s)"
        for pid, name, seconds in processes
    )


def _limit(lock: str, statement: str, using: str) -> None:
    """Set lock_timeout and statement_timeout for the rest of the transaction."""
    sql.run(using, sql.compose("queries/locks/limit", lock=lock, statement=statement))
