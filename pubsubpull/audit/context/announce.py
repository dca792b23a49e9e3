"""Attaches to new database connections, so that their transactions announce the context of each change."""

from __future__ import annotations

import contextlib
import weakref
from typing import TYPE_CHECKING, Any, cast

import psycopg
from psycopg.pq import Format

from pubsubpull.audit.context import announcements, cursors
from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper


def connect(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Attach to a connection that Django has opened or taken from its pool."""
    if connection.vendor != "postgresql":
        return
    pg = connection.connection
    if not announcements.is_attached(pg):
        _attach(pg)
    # A connection from the pool may have served another alias before.
    announcements.attach(pg, connection.alias)


def _attach(pg: psycopg.Connection[Any]) -> None:
    """Replace methods of one connection. Its class and its settings stay as they are."""
    methods = _Methods(pg)
    for name in ("cursor", "transaction", "commit", "rollback"):
        setattr(pg, name, getattr(methods, name))
    setattr(pg, sql.CURSORS, cursors.announcing(psycopg.ClientCursor))
    pg.add_notice_handler(methods.noticed)


class _Methods:
    """The methods of one connection that begin or end statements and transactions."""

    def __init__(self, pg: psycopg.Connection[Any]) -> None:
        # A weak reference: these methods are attributes of the connection, and a cycle would keep it open until the
        # garbage collector runs.
        self._reference = weakref.ref(pg)
        self._class = type(pg)

    @property
    def _pg(self) -> psycopg.Connection[Any]:
        return cast("psycopg.Connection[Any]", self._reference())

    def cursor(self, name: str = "", *, binary: bool = False, row_factory: Any = None, **rest: Any) -> Any:
        """Return a cursor that announces contexts; for a named cursor or a closed connection, psycopg's own."""
        pg = self._pg
        if name or pg.closed:
            return self._class.cursor(pg, name, binary=binary, row_factory=row_factory or pg.row_factory, **rest)
        cursor_class: Any = pg.cursor_factory
        cursor = cursors.announcing(cursor_class)(pg, row_factory=row_factory or pg.row_factory)
        cursor.format = Format.BINARY if binary else cursor.format
        return cursor

    @contextlib.contextmanager
    def transaction(self, *args: Any, **kwargs: Any) -> Iterator[psycopg.Transaction]:
        """Run the block in a transaction or a savepoint, as psycopg does."""
        pg = self._pg
        announcements.transaction_status(pg)
        try:
            with self._class.transaction(pg, *args, **kwargs) as block:
                yield block
        finally:
            # psycopg rolls back to the savepoint without a cursor, so no cursor of ours sees it.
            announcements.rolled_back(pg)

    def commit(self) -> None:
        """Commit, as psycopg does."""
        pg = self._pg
        self._class.commit(pg)
        # The next transaction may begin unseen, by a named cursor, which is of another class.
        announcements.transaction_status(pg)

    def rollback(self) -> None:
        """Roll back, as psycopg does."""
        pg = self._pg
        self._class.rollback(pg)
        # As after a commit.
        announcements.transaction_status(pg)

    def noticed(self, notice: psycopg.errors.Diagnostic) -> None:
        """Pass a notice of the server on."""
        announcements.noticed(self._pg, notice)
