"""Reads the `.sql` files and runs the queries among them."""

from __future__ import annotations

import contextlib
import functools
import importlib.resources
from typing import TYPE_CHECKING, Any

import psycopg
import psycopg.abc
import psycopg.adapt
from django.db import ProgrammingError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from pubsubpull import conf, exceptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER = "pubsubpull.sql"
CURSORS = "pubsubpull_cursors"
"""The attribute of a connection that names the class of cursors which tell the context that a statement belongs to."""


@functools.cache
def read(name: str) -> str:
    """Return the text of the file `name`, a path below `sql/` without its ending."""
    *folders, file = name.split("/")
    path = importlib.resources.files(FOLDER)
    for folder in folders:
        path = path.joinpath(folder)
    return path.joinpath(f"{file}.sql").read_text("utf-8")


def preload() -> None:
    """Read all queries now: a process that runs for long may later be let open no file."""
    for folder in ("parts", "queries"):
        for name in names(folder):
            read(name)


def names(folder: str) -> Iterator[str]:
    """Give the names of the files in a folder below `sql/`, and in the folders within it."""
    for path in importlib.resources.files(FOLDER).joinpath(*folder.split("/")).iterdir():
        if path.is_dir():
            yield from names(f"{folder}/{path.name}")
        elif path.name.endswith(".sql"):
            yield f"{folder}/{path.name.removesuffix('.sql')}"


@functools.cache
def template(name: str) -> sql.SQL:
    """Return a file as a template whose `{names}` psycopg fills in, quoted."""
    return sql.SQL(read(name))


def compose(file: str, /, **parts: Any) -> sql.Composed:
    """Fill in the template `file`: what is no `psycopg.sql` object becomes a quoted literal."""
    made = {k: v if isinstance(v, sql.Composable) else sql.Literal(v) for k, v in parts.items()}
    return template(file).format(**made)


class _Bytes(psycopg.adapt.Loader):
    """Gives a text as the bytes that came, UTF-8 as all connections of Django are."""

    def load(self, data: psycopg.abc.Buffer) -> bytes:
        return bytes(data)


def run(
    using: str,
    query: sql.SQL | sql.Composed,
    params: Mapping[str, Any] | None = None,
    *,
    as_bytes: bool = False,
    within: bool = False,
) -> list[tuple[Any, ...]]:
    """Run `query` on the database `using` and return its rows, if it has any.

    Values are sent as literals within the text, on a cursor of psycopg's own: a prepared statement could get a
    generic plan, which looks at every partition of the log. With `as_bytes` a text comes as UTF-8, for what is
    passed on as it is: a page is large, and each copy of it is a good part of what it costs. `within` bounds the time
    as `run_within` does.
    """
    with _cursor(using) as cursor:
        if as_bytes:
            cursor.adapters.register_loader("text", _Bytes)
        cursor.execute(sql.SQL(";\n").join([_limit(), query]) if within else query, params)
        if within:
            cursor.nextset()
        return cursor.fetchall() if cursor.description else []


def run_each(using: str, *queries: psycopg.sql.Composable) -> list[list[tuple[Any, ...]]]:
    """Run queries as `run` does, all in one round trip; return the rows of each."""
    with _cursor(using) as cursor:
        cursor.execute(sql.SQL(";\n").join(queries))
        found = [cursor.fetchall() if cursor.description else []]
        while cursor.nextset():
            found.append(cursor.fetchall() if cursor.description else [])
        return found


def run_within(using: str, query: sql.SQL | sql.Composed) -> list[tuple[Any, ...]]:
    """Run `query` as `run` does, for CALL_LIMIT seconds at most, or as long as the role's own statement time-out is.

    What takes longer ends with an `OperationalError` whose cause is `QueryCanceled`. It is one round trip all the same.
    """
    return run(using, query, within=True)


def _limit() -> sql.Composed:
    return compose("queries/session/limit_time", limit=f"{max(1, round(conf.get().CALL_LIMIT * 1000))}ms")


def session(using: str) -> psycopg.Connection[Any]:
    """Return psycopg's connection to the database `using`, ready for a cursor of its own.

    A backend that makes cursors in its own way is asked for one first: django-tenants sets the search path then.
    """
    connection = connections[using]
    if type(connection)._cursor is BaseDatabaseWrapper._cursor:  # type: ignore[attr-defined]
        connection.ensure_connection()
    else:
        connection.cursor().close()
    pg: psycopg.Connection[Any] = connection.connection
    return pg


@contextlib.contextmanager
def _cursor(using: str) -> Iterator[psycopg.Cursor[Any]]:
    connection, pg = connections[using], session(using)
    cursor_class = getattr(pg, CURSORS, psycopg.ClientCursor)
    with _refusals(), connection.wrap_database_errors, cursor_class(pg) as cursor:
        yield cursor


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Raise `RowsHidden` where PostgreSQL refuses to read a table, since it would leave rows out."""
    try:
        yield
    except ProgrammingError as error:
        cause = error.__cause__
        if not isinstance(cause, psycopg.Error) or cause.diag.source_function != "check_enable_rls":
            raise
        raise exceptions.RowsHidden(
            f"{cause.diag.message_primary}: rows would be left out. Let a database role serve it that sees all rows: "
            "one with BYPASSRLS, or the table's owner without FORCE ROW LEVEL SECURITY."
        ) from error


def run_bound(using: str, query: sql.SQL | sql.Composed, **values: Any) -> list[tuple[Any, ...]]:
    """Run `query` with its values apart from its text: a large one is neither quoted nor parsed as a literal.

    It has `%(names)s` for them, and is never prepared. For statements that do not begin a transaction.
    """
    connection, pg = connections[using], session(using)
    with connection.wrap_database_errors, psycopg.Cursor(pg) as cursor:
        cursor.execute(query, values, prepare=False)
        return cursor.fetchall() if cursor.description else []
