"""Cursors that announce the context of a statement to its transaction, in the round trip of the statement itself.

A statement without parameters bound by the server goes in one message with the announcement before it. A statement with
such parameters follows the announcement in a pipeline.

The cursors work below Django's execute wrappers and its log of queries. These see the application's statement, its
result and its error, and nothing of the announcement.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import Format, TransactionStatus

from pubsubpull.audit.context import announcements
from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pubsubpull.audit.context.announcements import Announcement


@functools.cache
def announcing(cursor_class: type[psycopg.Cursor[Any]]) -> type[psycopg.Cursor[Any]]:
    """Return a subclass of a cursor class that announces contexts."""
    return type("AnnouncingCursor", (AnnouncingMixin, cursor_class), {})


class AnnouncingMixin(psycopg.Cursor[Any]):
    """Announces the context before each statement that needs it."""

    def execute(self, query: Any, params: Any = None, **kwargs: Any) -> Any:
        """Run a statement as psycopg does."""
        announcement = announcements.due(self.connection, query)
        if announcement is None:
            super().execute(query, params, **kwargs)
        elif _is_simple(self, query, params, kwargs):
            self._execute_announced(announcement, query, params, kwargs)
        else:
            with _announced(self.connection, announcement, piped=True):
                super().execute(query, params, **kwargs)
        if _may_have_rolled_back(self):
            announcements.rolled_back(self.connection)
        return self

    def _execute_announced(self, announcement: Announcement, query: Any, params: Any, kwargs: dict[str, Any]) -> None:
        """Send the announcement and the statement in one message; show the statement and its results alone."""
        self._tx = psycopg.adapt.Transformer(self)  # as psycopg does for each statement
        text = self._convert_query(query, params).query
        prefix = announcements.statement(self.connection, announcement).encode(self.connection.info.encoding)
        try:
            # Never prepared: the server does not prepare several statements at once.
            super().execute(prefix + b";\n" + text, **{**kwargs, "prepare": False})
        finally:
            # Django's log of queries reads this attribute, after an error as well.
            if self._query is not None:
                self._query.query = text
        # The first result is that of the announcement.
        del self._results[0]
        self._select_current_result(0)
        announcements.announced(self.connection, announcement)

    def executemany(self, query: Any, *args: Any, **kwargs: Any) -> None:
        """Run a statement with many rows of parameters, as psycopg does."""
        # Not piped: within a pipeline of ours psycopg would count no rows.
        with _announced_for(self.connection, query):
            super().executemany(query, *args, **kwargs)

    def stream(self, query: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Yield rows one by one, as psycopg does."""
        # A reader that stops early is no error: the transaction of `_announced_for` must commit, not roll back.
        with _announced_for(self.connection, query), contextlib.suppress(GeneratorExit):
            yield from super().stream(query, *args, **kwargs)

    @contextlib.contextmanager
    def copy(self, statement: Any, *args: Any, **kwargs: Any) -> Iterator[psycopg.Copy]:
        """Run a COPY, as psycopg does."""
        with _announced_for(self.connection, statement), super().copy(statement, *args, **kwargs) as copy:
            yield copy


def _is_simple(cursor: psycopg.Cursor[Any], query: Any, params: Any, kwargs: dict[str, Any]) -> bool:
    """Return True if a statement goes by the simple protocol, which takes several statements in one message."""
    if cursor.connection.pgconn.pipeline_status:
        return False
    extended = params or kwargs.get("prepare") or kwargs.get("binary") or cursor.format == Format.BINARY
    # A template string (PEP 750) contains its parameters.
    return isinstance(cursor, psycopg.ClientCursor) or not (extended or hasattr(query, "interpolations"))


def _may_have_rolled_back(cursor: psycopg.Cursor[Any]) -> bool:
    """Return True if a statement was a ROLLBACK, or if its result is not known yet, as within a pipeline."""
    in_pipeline = cursor.connection.pgconn.pipeline_status
    return bool(in_pipeline) or any(result.command_status == b"ROLLBACK" for result in cursor._results)


@contextlib.contextmanager
def _announced_for(pg: psycopg.Connection[Any], query: Any) -> Iterator[None]:
    """Announce the context that a statement needs, in a round trip of its own."""
    announcement = announcements.due(pg, query)
    with _announced(pg, announcement) if announcement else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def _announced(pg: psycopg.Connection[Any], announcement: Announcement, *, piped: bool = False) -> Iterator[None]:
    """Announce a context and run the block in the same transaction; if `piped`, in the same round trip as well."""
    # Within a pipeline of the application's, the announcement joins it: a second pipeline would end its transaction.
    if pg.pgconn.pipeline_status:
        _send(pg, announcement)
        yield
        return
    begins = pg.autocommit and announcements.transaction_status(pg) == TransactionStatus.IDLE
    piped = piped and psycopg.Pipeline.is_supported()
    around = _committed(pg) if begins else contextlib.nullcontext()
    with around, pg.pipeline() if piped else contextlib.nullcontext():
        if begins:
            _run(pg, sql.template("queries/requests/begin"))
        _send(pg, announcement)
        yield


@contextlib.contextmanager
def _committed(pg: psycopg.Connection[Any]) -> Iterator[None]:
    """Commit the transaction that the block begins, or roll it back on any error."""
    try:
        yield
        # After the pipeline, not at its end: psycopg cannot read the error of a deferred constraint there, and the
        # connection would be lost. A COMMIT within the pipeline could hide the statement's error behind its own.
        pg.commit()
    except BaseException:
        if not pg.closed:
            # The error of the statement matters, not that of its rollback.
            with contextlib.suppress(psycopg.Error):
                pg.rollback()
        raise


def _send(pg: psycopg.Connection[Any], announcement: Announcement) -> None:
    _run(pg, announcements.statement(pg, announcement))
    announcements.announced(pg, announcement)


def _run(pg: psycopg.Connection[Any], statement: Any) -> None:
    """Run a statement of ours on a plain cursor, which announces nothing itself."""
    with psycopg.ClientCursor(pg) as cursor:
        cursor.execute(statement)
