"""Tells the database which request a statement belongs to, in the round trip of the statement itself.

The setting is local to the transaction, so nothing is left on the session, and a transaction pooler does no harm.

A cursor that binds on the client's side, as Django's do unless told otherwise, sends the telling as a statement before
its own, in one message. One that binds on the server's side may send only one, and so uses a pipeline.

It is done by the class of the connection's cursors, below Django's execute wrappers: these see the statement that they
were given, its result and its error, and nothing of the telling.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
import uuid
import weakref
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql as psycopg_sql
from psycopg.pq import TransactionStatus

from pubsubpull.audit import context as audit
from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper

WRITES = {"INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "WITH"}
"""What carries the context in autocommit. Of the others some must be a transaction by themselves, as VACUUM must."""

UNTOLD = {"SET", "LOCK", "SAVEPOINT", "RELEASE", "ROLLBACK", "COMMIT", "BEGIN", "START", "SHOW"}
"""What writes nothing. Some must come before a transaction's first query, which the telling would be: SET TRANSACTION
would fail after it, and LOCK would come after the snapshot of a transaction that has only one."""

FIRST_WORD = re.compile(r"(?:[\s(]|--[^\n]*\n|/\*.*?\*/)*([a-z]+)", re.IGNORECASE | re.DOTALL)

Stamp = tuple["uuid.UUID | None", "audit.Who | None"]
NOTHING: Stamp = (None, None)
LEFT: Stamp = (None, audit.Who(id="", name=""))
UNKNOWN: Stamp = (uuid.UUID(int=0), None)
"""Told nothing yet; told that the context was left; told something that a rollback to a savepoint may have undone."""


@dataclasses.dataclass
class Told:
    """What the running transaction of a connection was last told. Ids only: a context holds a request.

    `last` is the latest telling with its text, since a request may have many transactions.
    """

    alias: str
    stamp: Stamp = NOTHING
    last: tuple[Stamp, str] = (NOTHING, "")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Due:
    """What a transaction is to be told before its next statement."""

    stamp: Stamp
    at_hand: audit.Context | None = None
    alone: bool = False


_told: weakref.WeakKeyDictionary[psycopg.Connection[Any], Told] = weakref.WeakKeyDictionary()


def connect(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Attach to a new connection of Django's."""
    if connection.vendor != "postgresql":
        return
    pg = connection.connection
    _told[pg] = Told(connection.alias)
    pg.cursor_factory = telling(pg.cursor_factory)
    if watch not in connection.execute_wrappers:
        # First, since Django's own execute_wrapper() takes away the last.
        connection.execute_wrappers.insert(0, watch)


def watch(execute: Callable[..., Any], query: Any, params: Any, many: bool, state: dict[str, Any]) -> Any:
    """See a transaction begin, whatever begins it: named cursors are of another class and carry nothing."""
    _status(state["connection"].connection)
    return execute(query, params, many, state)


@functools.cache
def telling(factory: type[psycopg.Cursor[Any]]) -> type[psycopg.Cursor[Any]]:
    """Return a class of cursors that tell the transaction of the context before their statement."""
    if hasattr(factory, "client_side"):
        return factory

    class Telling(factory):  # type: ignore[valid-type, misc]
        def execute(self, query: Any, params: Any = None, **kwargs: Any) -> Any:
            due = _due(self.connection, query)
            if due is None:
                super().execute(query, params, **kwargs)
            elif isinstance(self, psycopg.ClientCursor) and not self.connection.pgconn.pipeline_status:
                # One message; a pipeline's several cost a third more. The first result is the telling's own.
                super().execute(f"{_telling(self.connection, due)};\n{self.mogrify(query, params)}", **kwargs)
                self.nextset()
                _tell(self.connection, due)
            else:
                with _block(self.connection, due):
                    super().execute(query, params, **kwargs)
            if self.statusmessage == "ROLLBACK":
                _undone(self.connection)
            return self

        def executemany(self, query: Any, *args: Any, **kwargs: Any) -> None:
            with _before(self.connection, query):
                super().executemany(query, *args, **kwargs)

        def copy(self, *args: Any, **kwargs: Any) -> Any:
            # COPY takes no part in a pipeline, and in autocommit it is a transaction by itself.
            due = _due(self.connection, "COPY")
            if due:
                _send(self.connection, due)
            return super().copy(*args, **kwargs)

    Telling.client_side = Telling if issubclass(factory, psycopg.ClientCursor) else telling(psycopg.ClientCursor)
    return Telling


def _before(pg: psycopg.Connection[Any], query: Any) -> contextlib.AbstractContextManager[None]:
    due = _due(pg, query)
    return NO_BLOCK if due is None else _block(pg, due)


NO_BLOCK: contextlib.AbstractContextManager[None] = contextlib.nullcontext()


@contextlib.contextmanager
def _block(pg: psycopg.Connection[Any], due: Due) -> Iterator[None]:
    """Send what is due, and let the statement follow in the same round trip where that can be."""
    if not due.alone:
        around: contextlib.AbstractContextManager[Any] = pg.pipeline()
    elif pg.autocommit and _status(pg) == TransactionStatus.IDLE:
        around = pg.transaction()
    else:
        around = NO_BLOCK
    with around:
        _send(pg, due)
        yield


def _status(pg: psycopg.Connection[Any]) -> int:
    status = pg.pgconn.transaction_status
    if status == TransactionStatus.IDLE and pg in _told:
        _told[pg].stamp = NOTHING
    return status


def _undone(pg: psycopg.Connection[Any]) -> None:
    """Note a rollback to a savepoint: the setting may again be what it was before."""
    if pg in _told and _told[pg].stamp != NOTHING:
        _told[pg].stamp = UNKNOWN


def _due(pg: psycopg.Connection[Any], query: Any) -> Due | None:
    status = _status(pg)
    told = _told.get(pg)
    if told is None or status not in {TransactionStatus.IDLE, TransactionStatus.INTRANS} or audit.reading_user():
        return None
    at_hand = audit.current()
    if at_hand is None and told.stamp in {NOTHING, LEFT}:
        return None
    text = _text(pg, query)
    found = FIRST_WORD.match(text)
    word = found[1].upper() if found else None
    if word is None or word in UNTOLD:
        return None
    if at_hand is None:
        return Due(stamp=LEFT, alone=_alone(text))
    if status == TransactionStatus.IDLE and pg.autocommit and word not in WRITES:
        return None
    # A SELECT is no reason to read the user. A function that it calls may write: its request is known all the same.
    known = told.stamp[1] if told.stamp[0] == at_hand.id else None
    stamp = (at_hand.id, known if word == "SELECT" else audit.who(at_hand))
    return None if stamp == told.stamp else Due(stamp=stamp, at_hand=at_hand, alone=_alone(text))


def _alone(text: str) -> bool:
    """Say whether a text must go by itself: one that may hold several statements takes no part in a pipeline."""
    return ";" in text.rstrip("; \n\r\t") or not psycopg.Pipeline.is_supported()


def _send(pg: psycopg.Connection[Any], due: Due) -> None:
    with psycopg.ClientCursor(pg) as cursor:
        cursor.execute(_telling(pg, due))
    _tell(pg, due)


def _telling(pg: psycopg.Connection[Any], due: Due) -> str:
    told = _told[pg]
    if told.last[0] != due.stamp:
        setting = due.at_hand.setting(due.stamp[1]) if due.at_hand else ""
        told.last = (due.stamp, sql.compose("queries/set_request", request=setting).as_string(pg))
    return told.last[1]


def _tell(pg: psycopg.Connection[Any], due: Due) -> None:
    """Note what the transaction has been told."""
    told = _told[pg]
    told.stamp = due.stamp
    if due.at_hand:
        due.at_hand.sent.add(told.alias)


def _text(pg: psycopg.Connection[Any], query: Any) -> str:
    if isinstance(query, psycopg_sql.Composable):
        return query.as_string(pg)
    return query.decode("utf-8", "replace") if isinstance(query, bytes) else str(query)
