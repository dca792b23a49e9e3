"""Installs, replaces and drops triggers without making any writer wait."""

from __future__ import annotations

import dataclasses
import functools
import logging
from typing import TYPE_CHECKING, LiteralString

from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS
from psycopg import sql as psql

from pubsubpull import conf
from pubsubpull.capture import functions, lock_retries, planning, sql, triggers
from pubsubpull.capture.planning import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger("pubsubpull")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Synced:
    """The result of a sync."""

    done: tuple[Action, ...] = ()
    """The actions that were performed."""
    left: tuple[Action, ...] = ()
    """The actions that were not: other transactions had their tables locked all the time."""


def sync(
    using: str = DEFAULT_DB_ALIAS, *, wait: float | None = None, say: Callable[[str], None] = logger.warning
) -> Synced:
    """Create, replace and drop triggers until the database agrees with the publications.

    All triggers of a table change in one transaction, and each table in its own. No writer waits behind the sync: it
    waits for a table's lock for a moment only, and tries again for `wait` seconds in all (None: the setting LOCK_WAIT).
    `say` is called with a text that names the processes holding the lock.
    """
    plan = planning.plan(using)
    if plan is None:
        return Synced()
    for gap in plan.gaps(using):
        logger.warning("pubsubpull: %s", gap)
    return perform(plan.actions, using, wait=wait, say=say)


def perform(
    actions: Sequence[Action], using: str, *, wait: float | None = None, say: Callable[[str], None] = logger.warning
) -> Synced:
    """Perform the actions of a plan; the arguments and the result are those of `sync`."""
    # Functions first: a trigger that calls a function which is not there yet would fail each write.
    functions.replace(tuple(action.function for action in actions if action.function), using)
    by_table: dict[tuple[str, str], list[Action]] = {}
    for action in actions:
        if action.function is None:
            by_table.setdefault((action.schema, action.table), []).append(action)

    seconds = conf.get().LOCK_WAIT if wait is None else wait
    left = lock_retries.each(
        by_table,
        lambda table: _change(table, by_table[table], using),
        within=seconds,
        waiting=functools.partial(_say_waiting, say, using),
    )
    for schema, table in sorted(left):
        say(
            f"pubsubpull: the triggers of {schema}.{table} are unchanged: other transactions had the table locked for "
            f"{seconds:g} s. Run migrate again, or pubsubpull_triggers --sync."
        )
    return Synced(
        done=tuple(action for action in actions if (action.schema, action.table) not in left),
        left=tuple(action for action in actions if (action.schema, action.table) in left),
    )


def drop_all(schema: str, using: str) -> None:
    """Drop all triggers of the log in `schema`, before a migration drops the log itself.

    Each table has its own transaction: in one for all, writers would wait. Raises `CommandError` if a table stays
    locked by other transactions. The log is then complete and still in use.
    """
    installed, _foreign = triggers.installed(schema, using)
    actions = [Action(verb="drop", schema=s, table=t, name=n) for s, t, n in installed]
    if left := perform(actions, using).left:
        names = ", ".join(sorted({f"{action.schema}.{action.table}" for action in left}))
        raise CommandError(
            f"The triggers of {names} could not be dropped: other transactions had the table locked. The log is still "
            "there, and still captures writes to the table. Run the command again."
        )


def _change(table: tuple[str, str], actions: Sequence[Action], using: str) -> bool:
    """Perform the actions of one table in one transaction; return False if another transaction has its lock."""
    # DROP TRIGGER takes ACCESS EXCLUSIVE by itself. Taking less first would upgrade the lock, which may deadlock.
    drops = any(action.verb == "drop" for action in actions)
    mode: LiteralString = "ACCESS EXCLUSIVE" if drops else "SHARE ROW EXCLUSIVE"

    def work() -> None:
        for action in actions:
            _perform(action, using)

    return lock_retries.change(table, work, mode=mode, using=using)


def _perform(action: Action, using: str) -> None:
    names = {"name": psql.Identifier(action.name), "table": psql.Identifier(action.schema, action.table)}
    if action.trigger is None:
        sql.run(using, sql.compose("triggers/drop", **names))
        return
    sql.run(using, action.trigger.statement)
    # In the transaction of the statement: a trigger with another statement's fingerprint would pass for up to date.
    sql.run(using, sql.compose("triggers/comment", **names, fingerprint=action.trigger.fingerprint))


def _say_waiting(say: Callable[[str], None], using: str, left: Sequence[tuple[str, str]]) -> None:
    for schema, table in left:
        holders = lock_retries.holders((schema, table), using) or "short transactions, one after the other,"
        say(f"pubsubpull: the triggers of {schema}.{table} wait for {holders} to release the table")
