"""The announcement of a context: whether a transaction needs one before its next statement, and its SQL.

An announcement sets a setting that is local to the transaction. Nothing of it stays on the session, so a transaction
pooler may hand the session to others.
"""

from __future__ import annotations

import dataclasses
import uuid
import weakref
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql as psycopg_sql
from psycopg.pq import TransactionStatus

from pubsubpull.audit.context import actors, contexts, statements
from pubsubpull.audit.context.statements import Effect
from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Callable

ROW_WRITTEN = "PSP01"
"""The SQLSTATE of the notice that the capture functions send when they have written the row of a request."""

Stamp = tuple["uuid.UUID | None", "actors.Actor | None", int]
"""The content of an announcement: the id of the context, its user, and its revision."""
NOT_ANNOUNCED: Stamp = (None, None, 0)
"""The transaction has announced no context."""
CONTEXT_LEFT: Stamp = (None, actors.Actor(id="", name=""), 0)
"""The transaction has announced that it left its context."""
MAYBE_UNDONE: Stamp = (uuid.UUID(int=0), None, 0)
"""A rollback to a savepoint may have undone the last announcement."""


def _no_context() -> None:
    """Return no context, in the form of a weak reference."""


@dataclasses.dataclass
class ConnectionState:
    """The last announcement of a connection's transaction."""

    alias: str
    """The alias of the database."""
    stamp: Stamp = NOT_ANNOUNCED
    """The last announcement of the current transaction."""
    latest: tuple[Stamp, str] = (NOT_ANNOUNCED, "")
    """The last announcement of any transaction, with its SQL: a request may have many transactions."""
    context: Callable[[], contexts.Context | None] = _no_context
    """A weak reference to the announced context, which holds a whole request in memory."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Announcement:
    """An announcement that a transaction needs before its next statement."""

    stamp: Stamp
    context: contexts.Context | None = None
    """The context to announce; None to announce that the transaction left its context."""


_states: weakref.WeakKeyDictionary[psycopg.Connection[Any], ConnectionState] = weakref.WeakKeyDictionary()


def is_attached(pg: psycopg.Connection[Any]) -> bool:
    """Return True if `attach` was called for this connection before."""
    return pg in _states


def attach(pg: psycopg.Connection[Any], alias: str) -> None:
    """Begin to track the announcements of a connection to the database `alias`."""
    _states[pg] = ConnectionState(alias)


def due(pg: psycopg.Connection[Any], query: Any) -> Announcement | None:
    """Return the announcement that must precede a statement; None if none must.

    None is returned, too, for statements that write nothing or may have to be the first of their transaction.
    """
    status, state = transaction_status(pg), _states.get(pg)
    if state is None or status not in {TransactionStatus.IDLE, TransactionStatus.INTRANS} or actors.reading():
        return None
    context = contexts.current()
    # Decided before the text is read: most statements outside of any context end here.
    if context is None and state.stamp in {NOT_ANNOUNCED, CONTEXT_LEFT}:
        return None
    effect = statements.effect(_text(pg, query))
    if effect is Effect.NOTHING:
        return None
    if context is None:
        return Announcement(stamp=CONTEXT_LEFT)
    # In autocommit an announcement needs a transaction of its own. Only a statement that writes is worth it, and one
    # that may have to be alone, as VACUUM, would fail in it.
    if status == TransactionStatus.IDLE and pg.autocommit and effect is not Effect.WRITES:
        return None
    stamp = (context.id, _actor(state, context, effect), context.revision)
    return None if stamp == state.stamp else Announcement(stamp=stamp, context=context)


def transaction_status(pg: psycopg.Connection[Any]) -> int:
    """Return the connection's `TransactionStatus`, and forget the announcement of a transaction that has ended."""
    status = pg.pgconn.transaction_status
    if status == TransactionStatus.IDLE and pg in _states:
        _states[pg].stamp = NOT_ANNOUNCED
    return status


def rolled_back(pg: psycopg.Connection[Any]) -> None:
    """Record a possible rollback to a savepoint, which sets the setting back to its value before the savepoint."""
    if transaction_status(pg) != TransactionStatus.IDLE and pg in _states and _states[pg].stamp != NOT_ANNOUNCED:
        _states[pg].stamp = MAYBE_UNDONE


def statement(pg: psycopg.Connection[Any], announcement: Announcement) -> str:
    """Return the SQL statement of an announcement."""
    state, context = _states[pg], announcement.context
    if state.latest[0] != announcement.stamp:
        setting = context.setting(announcement.stamp[1]) if context else ""
        state.latest = (announcement.stamp, sql.compose("queries/requests/set", request=setting).as_string(pg))
    # Set before the statement runs: the notice of a written row comes in the same message.
    state.context = weakref.ref(context) if context else _no_context
    return state.latest[1]


def announced(pg: psycopg.Connection[Any], announcement: Announcement) -> None:
    """Record that the transaction has announced a context."""
    _states[pg].stamp = announcement.stamp


def noticed(pg: psycopg.Connection[Any], notice: psycopg.errors.Diagnostic) -> None:
    """Record that the database has written the row of the announced context, if a notice says so."""
    if notice.sqlstate != ROW_WRITTEN:
        return
    context = _states[pg].context()
    if context is not None and str(context.id) == notice.message_detail:
        context.was_written(_states[pg].alias)


def _actor(state: ConnectionState, context: contexts.Context, effect: Effect) -> actors.Actor | None:
    """Return the user of a context; for a reading statement only if it costs no query."""
    # A function that a SELECT calls may write all the same. The end of the request then adds the user to its row.
    if effect is not Effect.READS:
        return actors.read(context.actor)
    announced_actor = state.stamp[1] if state.stamp[0] == context.id else None
    return announced_actor or context.known_actor()


def _text(pg: psycopg.Connection[Any], query: Any) -> str:
    if isinstance(query, psycopg_sql.Composable):
        return query.as_string(pg)
    return query.decode("utf-8", "replace") if isinstance(query, bytes) else str(query)
