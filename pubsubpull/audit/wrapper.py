"""Tells the database which request a statement belongs to, in the round trip of the statement itself.

The setting is local to the transaction, so nothing is left on the session, and a transaction pooler does no harm.
"""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import TransactionStatus

from pubsubpull.audit import context as audit
from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.backends.base.base import BaseDatabaseWrapper

    from pubsubpull.audit.context import Context, Who

WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "WITH")
"""What carries the context in autocommit. Of the others some must be a transaction by themselves, as VACUUM must."""

Stamp = tuple["Context | None", "Who | None"]
NOTHING: Stamp = (None, None)

_told: weakref.WeakKeyDictionary[psycopg.Connection[Any], Stamp] = weakref.WeakKeyDictionary()
_owners: weakref.WeakKeyDictionary[psycopg.Connection[Any], BaseDatabaseWrapper] = weakref.WeakKeyDictionary()


def connect(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Attach to a new connection of Django's."""
    if connection.vendor != "postgresql":
        return
    pg = connection.connection
    _owners[pg] = connection
    pg.cursor_factory = _copying(pg.cursor_factory)
    if tell not in connection.execute_wrappers:
        # First, since Django's own execute_wrapper() takes away the last.
        connection.execute_wrappers.insert(0, tell)


def tell(execute: Callable[..., Any], query: Any, params: Any, many: bool, state: dict[str, Any]) -> Any:
    """Run a statement, with the context before it where the transaction has not been told of it yet."""
    connection, cursor = state["connection"], state["cursor"].cursor
    pg = connection.connection
    if audit.reading_user() or isinstance(cursor, psycopg.ServerCursor):
        return execute(query, params, many, state)
    stamp = _due(pg, query)
    if stamp is None:
        result = execute(query, params, many, state)
    elif _alone(query):
        _send(connection, pg, stamp)
        result = execute(query, params, many, state)
    else:
        with connection.wrap_database_errors, pg.pipeline():
            _send(connection, pg, stamp)
            result = execute(query, params, many, state)
    if cursor.statusmessage == "ROLLBACK":
        _told.pop(pg, None)  # a rollback to a savepoint may have undone it
    return result


def _due(pg: psycopg.Connection[Any], query: Any) -> Stamp | None:
    """Return what the transaction is to be told before the statement; None for nothing."""
    status = pg.info.transaction_status
    if status == TransactionStatus.IDLE:
        _told.pop(pg, None)
    elif status != TransactionStatus.INTRANS:
        return None
    at_hand = audit.current()
    told = _told.get(pg, NOTHING)
    if at_hand is None:
        return None if told[0] is None else NOTHING
    word = _first_word(query)
    if status == TransactionStatus.IDLE and pg.autocommit and (word not in WRITES or _several(query)):
        return None
    # A SELECT is no reason to read the user; where it calls a function that writes, its request is known all the same.
    known = told[1] if told[0] is at_hand else None
    who = known if word == "SELECT" else audit.who(at_hand)
    stamp = (at_hand, who)
    return None if stamp == told else stamp


def _send(connection: BaseDatabaseWrapper, pg: psycopg.Connection[Any], stamp: Stamp) -> None:
    at_hand, who = stamp
    with psycopg.ClientCursor(pg) as cursor:
        cursor.execute(sql.compose("queries/set_request", request=at_hand.setting(who) if at_hand else ""))
    _told[pg] = stamp
    if at_hand:
        at_hand.sent.add(connection.alias)


def _alone(query: Any) -> bool:
    """Say whether the statement must go by itself: several in one text do not go through a pipeline."""
    return _several(query) or not psycopg.Pipeline.is_supported()


def _several(query: Any) -> bool:
    return ";" in str(query).rstrip().rstrip(";")


def _first_word(query: Any) -> str:
    text = query if isinstance(query, str) else query.as_string() if hasattr(query, "as_string") else str(query)
    return text.lstrip("( \n\t\r")[:8].split(maxsplit=1)[0].upper() if text.strip() else ""


@functools.cache
def _copying(factory: type[psycopg.Cursor[Any]]) -> type[psycopg.Cursor[Any]]:
    """Return a class of cursors whose COPY, too, is told of the context: it does not pass Django's wrappers."""
    if getattr(factory, "tells_of_the_context", False):
        return factory

    class Copying(factory):  # type: ignore[valid-type, misc]
        tells_of_the_context = True

        def copy(self, *args: Any, **kwargs: Any) -> Any:
            pg = self.connection
            connection = _owners.get(pg)
            if connection is not None and not pg.autocommit and not isinstance(self, psycopg.ServerCursor):
                stamp = _due(pg, "COPY")
                if stamp is not None:
                    _send(connection, pg, stamp)
            return super().copy(*args, **kwargs)

    return Copying
