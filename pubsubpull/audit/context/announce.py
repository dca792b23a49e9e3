"""Tells the database which request a statement belongs to, in the round trip of the statement itself.

The setting is local to the transaction, so nothing is left on the session, and a transaction pooler does no harm.

A statement without parameters of its own, as all are that a cursor binds on the client's side, goes in one message with
the telling before it. A statement with parameters bound by the server cannot, and follows the telling in a pipeline.

It is done by the cursors that the connection makes, below Django's execute wrappers and its log of queries: these see
the statement that they were given, its result and its error, and nothing of the telling.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import uuid
import weakref
from typing import TYPE_CHECKING, Any, cast

import psycopg
from psycopg import sql as psycopg_sql
from psycopg.pq import Format, TransactionStatus

from pubsubpull.audit.context import context as audit
from pubsubpull.audit.context import statements
from pubsubpull.audit.context.statements import Effect
from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper

WRITTEN = "PSP01"
"""The SQLSTATE of the notice by which the capture functions say that they wrote the row of a request."""

Stamp = tuple["uuid.UUID | None", "audit.Who | None", int]
NOTHING: Stamp = (None, None, 0)
LEFT: Stamp = (None, audit.Who(id="", name=""), 0)
UNKNOWN: Stamp = (uuid.UUID(int=0), None, 0)
"""Told nothing yet; told that the context was left; told something that a rollback to a savepoint may have undone."""


def _nothing() -> None:
    """Refer to no context."""


@dataclasses.dataclass
class Told:
    """What the running transaction of a connection was last told."""

    alias: str
    stamp: Stamp = NOTHING
    last: tuple[Stamp, str] = (NOTHING, "")
    """The latest telling with its text, since a request may have many transactions."""
    at_hand: Callable[[], audit.Context | None] = _nothing
    """A weak reference: a context holds a request."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Due:
    """What a transaction is to be told before its next statement."""

    stamp: Stamp
    at_hand: audit.Context | None = None


_told: weakref.WeakKeyDictionary[psycopg.Connection[Any], Told] = weakref.WeakKeyDictionary()


def connect(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Attach to a new connection of Django's, or to one that its pool gives out again."""
    if connection.vendor != "postgresql":
        return
    pg = connection.connection
    if pg not in _told:
        _attach(pg)
    _told[pg] = Told(connection.alias)


def _attach(pg: psycopg.Connection[Any]) -> None:
    """Watch how the connection begins and ends things; its class and its settings stay as they are.

    What is put on the connection holds it weakly, or only the collector of cycles would ever close it.
    """
    reference, kind = weakref.ref(pg), type(pg)

    def live() -> psycopg.Connection[Any]:
        return cast("psycopg.Connection[Any]", reference())

    def cursor(name: str = "", *, binary: bool = False, row_factory: Any = None, **rest: Any) -> Any:
        pg = live()
        if name or pg.closed:
            return kind.cursor(pg, name, binary=binary, row_factory=row_factory or pg.row_factory, **rest)
        factory: Any = pg.cursor_factory
        made = telling(factory)(pg, row_factory=row_factory or pg.row_factory)
        made.format = Format.BINARY if binary else made.format
        return made

    @contextlib.contextmanager
    def transaction(*args: Any, **kwargs: Any) -> Iterator[psycopg.Transaction]:
        pg = live()
        _status(pg)
        try:
            with kind.transaction(pg, *args, **kwargs) as block:
                yield block
        finally:
            # A rollback to its savepoint is no cursor's statement.
            _undone(pg)

    def ending(how: Callable[[psycopg.Connection[Any]], None]) -> Callable[[], None]:
        def end() -> None:
            pg = live()
            how(pg)
            # The next transaction may begin unseen: named cursors are of another class.
            _status(pg)

        return functools.wraps(how)(end)

    ends: dict[str, Any] = {"commit": ending(kind.commit), "rollback": ending(kind.rollback)}
    for method, part in {"cursor": cursor, "transaction": transaction, **ends}.items():
        setattr(pg, method, part)
    setattr(pg, sql.CURSORS, telling(psycopg.ClientCursor))
    pg.add_notice_handler(lambda notice: _noticed(live(), notice))


def _noticed(pg: psycopg.Connection[Any], notice: psycopg.errors.Diagnostic) -> None:
    """Take down that the database has written the row of the request that the transaction was told of."""
    if notice.sqlstate != WRITTEN:
        return
    at_hand = _told[pg].at_hand()
    if at_hand is not None and str(at_hand.id) == notice.message_detail:
        at_hand.was_written(_told[pg].alias)


@functools.cache
def telling(factory: type[psycopg.Cursor[Any]]) -> type[psycopg.Cursor[Any]]:
    """Return a class of cursors that tell the transaction of the context before their statement."""

    class Telling(factory):  # type: ignore[valid-type, misc]
        def execute(self, query: Any, params: Any = None, **kwargs: Any) -> Any:
            due = _due(self.connection, query)
            if due is None:
                super().execute(query, params, **kwargs)
            elif _is_simple(self, query, params, kwargs):
                self._execute_told(due, query, params, kwargs)
            else:
                with _before(self.connection, due, piped=True):
                    super().execute(query, params, **kwargs)
            if _may_have_rolled_back(self):
                _undone(self.connection)
            return self

        def _execute_told(self, due: Due, query: Any, params: Any, kwargs: dict[str, Any]) -> None:
            """Send telling and statement in one message, and show the statement and its results alone."""
            self._tx = psycopg.adapt.Transformer(self)  # as psycopg does for each statement
            text = self._convert_query(query, params).query
            told = _telling(self.connection, due).encode(self.connection.info.encoding)
            try:
                # Several statements cannot be prepared.
                super().execute(told + b";\n" + text, **{**kwargs, "prepare": False})
            finally:
                # Django's log of queries reads it, and shows what the application asked for.
                if self._query is not None:
                    self._query.query = text
            del self._results[0]  # of the telling
            self._select_current_result(0)
            _tell(self.connection, due)

        def executemany(self, query: Any, *args: Any, **kwargs: Any) -> None:
            # In a pipeline of ours it would count no rows.
            with _apart(self.connection, query):
                super().executemany(query, *args, **kwargs)

        def stream(self, query: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
            # A stream that is not read to its end is no reason to take back what it has written.
            with _apart(self.connection, query), contextlib.suppress(GeneratorExit):
                yield from super().stream(query, *args, **kwargs)

        @contextlib.contextmanager
        def copy(self, statement: Any, *args: Any, **kwargs: Any) -> Iterator[psycopg.Copy]:
            with _apart(self.connection, statement), super().copy(statement, *args, **kwargs) as made:
                yield made

    return Telling


def _is_simple(cursor: psycopg.Cursor[Any], query: Any, params: Any, kwargs: dict[str, Any]) -> bool:
    """Say whether a statement goes by the simple protocol, which takes several in one message."""
    if cursor.connection.pgconn.pipeline_status:
        return False
    extended = params or kwargs.get("prepare") or kwargs.get("binary") or cursor.format == Format.BINARY
    # A template string has its parameters within.
    return isinstance(cursor, psycopg.ClientCursor) or not (extended or hasattr(query, "interpolations"))


def _may_have_rolled_back(cursor: psycopg.Cursor[Any]) -> bool:
    """Say whether one of the statements was a ROLLBACK. Within a pipeline no result is known yet."""
    within = cursor.connection.pgconn.pipeline_status
    return bool(within) or any(result.command_status == b"ROLLBACK" for result in cursor._results)


@contextlib.contextmanager
def _apart(pg: psycopg.Connection[Any], query: Any) -> Iterator[None]:
    """Send what is due before what takes no part in a pipeline of ours."""
    due = _due(pg, query)
    with _before(pg, due) if due else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def _before(pg: psycopg.Connection[Any], due: Due, *, piped: bool = False) -> Iterator[None]:
    """Send what is due before a statement, in one transaction and, if piped, in one round trip.

    A pipeline of the application's takes it up as it is: another within would end its transaction.
    """
    if pg.pgconn.pipeline_status:
        _send(pg, due)
        yield
        return
    begins = pg.autocommit and _status(pg) == TransactionStatus.IDLE
    piped = piped and psycopg.Pipeline.is_supported()
    around = _committed(pg) if begins else contextlib.nullcontext()
    with around, pg.pipeline() if piped else contextlib.nullcontext():
        if begins:
            _run(pg, sql.template("queries/requests/begin"))
        _send(pg, due)
        yield


@contextlib.contextmanager
def _committed(pg: psycopg.Connection[Any]) -> Iterator[None]:
    """Commit a transaction that is begun within, or roll it back on any error.

    The end of a pipeline must not be what commits: psycopg cannot take the error of a deferred constraint there, and
    the connection would be lost. A COMMIT within the pipeline could hide the statement's error behind its own.
    """
    try:
        yield
        pg.commit()
    except BaseException:
        if not pg.closed:
            with contextlib.suppress(psycopg.Error):
                pg.rollback()
        raise


def _status(pg: psycopg.Connection[Any]) -> int:
    status = pg.pgconn.transaction_status
    if status == TransactionStatus.IDLE and pg in _told:
        _told[pg].stamp = NOTHING
    return status


def _undone(pg: psycopg.Connection[Any]) -> None:
    """Note a rollback to a savepoint: the setting may again be what it was before."""
    if _status(pg) != TransactionStatus.IDLE and pg in _told and _told[pg].stamp != NOTHING:
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
    effect = statements.effect(text)
    if effect is Effect.NOTHING:
        return None
    if at_hand is None:
        return Due(stamp=LEFT)
    if status == TransactionStatus.IDLE and pg.autocommit and effect is not Effect.WRITES:
        return None
    stamp = (at_hand.id, _who(told, at_hand, effect), at_hand.revision)
    return None if stamp == told.stamp else Due(stamp=stamp, at_hand=at_hand)


def _who(told: Told, at_hand: audit.Context, effect: Effect) -> audit.Who | None:
    """Return who is behind a context. What only reads is no reason to read the user: what is known already will do.

    A function that it calls may write: its request is known all the same.
    """
    if effect is not Effect.READS:
        return audit.who(at_hand)
    before = told.stamp[1] if told.stamp[0] == at_hand.id else None
    return before or at_hand.known()


def _send(pg: psycopg.Connection[Any], due: Due) -> None:
    _run(pg, _telling(pg, due))
    _tell(pg, due)


def _run(pg: psycopg.Connection[Any], statement: Any) -> None:
    """Run a statement of ours, whose cursor asks for no context."""
    with psycopg.ClientCursor(pg) as cursor:
        cursor.execute(statement)


def _telling(pg: psycopg.Connection[Any], due: Due) -> str:
    told = _told[pg]
    if told.last[0] != due.stamp:
        setting = due.at_hand.setting(due.stamp[1]) if due.at_hand else ""
        told.last = (due.stamp, sql.compose("queries/requests/set", request=setting).as_string(pg))
    told.at_hand = weakref.ref(due.at_hand) if due.at_hand else _nothing
    return told.last[1]


def _tell(pg: psycopg.Connection[Any], due: Due) -> None:
    """Note what the transaction has been told."""
    _told[pg].stamp = due.stamp


def _text(pg: psycopg.Connection[Any], query: Any) -> str:
    if isinstance(query, psycopg_sql.Composable):
        return query.as_string(pg)
    return query.decode("utf-8", "replace") if isinstance(query, bytes) else str(query)
