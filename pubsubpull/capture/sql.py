"""Reads the `.sql` files, fills in their templates and runs queries."""

from __future__ import annotations

import contextlib
import functools
import importlib.resources
import itertools
from typing import TYPE_CHECKING, Any

import psycopg
import psycopg.abc
import psycopg.adapt
from django.db import ProgrammingError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.datetime import TimestamptzLoader

from pubsubpull import conf, exceptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER = "pubsubpull.sql"
CURSORS = "pubsubpull_cursors"
"""The attribute of a psycopg connection with its class of cursors that announce the context of each statement."""


@functools.cache
def read(name: str) -> str:
    """Return the text of the file `name`, a path below `sql/` without its ending."""
    *folders, file = name.split("/")
    path = importlib.resources.files(FOLDER)
    for folder in folders:
        path = path.joinpath(folder)
    return path.joinpath(f"{file}.sql").read_text("utf-8")


def preload() -> None:
    """Read all queries into memory. A long-running process may have no file descriptor left when it needs a query."""
    for folder in ("parts", "queries"):
        for name in names(folder):
            read(name)


def names(folder: str) -> Iterator[str]:
    """Yield the names of the files in a folder below `sql/` and in its subfolders."""
    for path in importlib.resources.files(FOLDER).joinpath(*folder.split("/")).iterdir():
        if path.is_dir():
            yield from names(f"{folder}/{path.name}")
        elif path.name.endswith(".sql"):
            yield f"{folder}/{path.name.removesuffix('.sql')}"


@functools.cache
def template(name: str) -> sql.SQL:
    """Return the file `name` as a template. psycopg fills in its `{names}`, quoted."""
    return sql.SQL(read(name))


@functools.cache
def part(name: str) -> sql.SQL:
    """Return a file of `sql/parts/` as a template, without its opening comment, which is for the reader of the file."""
    lines = itertools.dropwhile(lambda line: line.startswith("--"), read(name).splitlines())
    return sql.SQL("\n".join(lines))


def compose(file: str, /, **parts: Any) -> sql.Composed:
    """Return the template `file` with its `{names}` filled in. A value outside of `psycopg.sql` becomes a literal."""
    composables = {k: v if isinstance(v, sql.Composable) else sql.Literal(v) for k, v in parts.items()}
    return template(file).format(**composables)


class _Bytes(psycopg.adapt.Loader):
    """Returns a text as the bytes that PostgreSQL sent: UTF-8, since Django connects with that encoding."""

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
    """Run `query` on the database `using` and return its rows; an empty list if it returns none.

    psycopg sends the values of `params` as literals. With `as_bytes` texts are returned as UTF-8 bytes. With `within`
    the time is limited as in `run_within`.
    """
    # A cursor of psycopg's own that never prepares: a generic plan would visit every partition of the log.
    with _cursor(using) as cursor:
        # A page is large: decoding it only to encode it again is a good part of the cost of an answer.
        if as_bytes:
            cursor.adapters.register_loader("text", _Bytes)
        cursor.execute(sql.SQL(";\n").join([_limit(), query]) if within else query, params)
        # The first result is that of the limit.
        if within:
            cursor.nextset()
        return cursor.fetchall() if cursor.description else []


class _Seconds(TimestamptzLoader):
    """Returns a time as unix seconds, independent of USE_TZ and the time zone of the session."""

    def load(self, data: psycopg.abc.Buffer) -> float:  # type: ignore[override]
        return super().load(data).timestamp()


def run_named(
    using: str, query: sql.SQL | sql.Composed, params: Mapping[str, Any] | None = None, *, as_bytes: bool = False
) -> list[dict[str, Any]]:
    """Run `query` as `run` does; return its rows by the columns' names, with times in unix seconds."""
    with _cursor(using) as cursor:
        cursor.adapters.register_loader("timestamptz", _Seconds)
        if as_bytes:
            cursor.adapters.register_loader("text", _Bytes)
        cursor.row_factory = dict_row
        cursor.execute(query, params)
        return cursor.fetchall()


def run_each(using: str, *queries: psycopg.sql.Composable) -> list[list[tuple[Any, ...]]]:
    """Run several queries in one round trip; return the rows of each, in order."""
    with _cursor(using) as cursor:
        cursor.execute(sql.SQL(";\n").join(queries))
        results = [cursor.fetchall() if cursor.description else []]
        while cursor.nextset():
            results.append(cursor.fetchall() if cursor.description else [])
        return results


def run_within(using: str, query: sql.SQL | sql.Composed) -> list[tuple[Any, ...]]:
    """Run `query` as `run` does, limited to CALL_LIMIT seconds or the role's statement_timeout, whichever is shorter.

    Raises `OperationalError`, caused by psycopg's `QueryCanceled`, if the query takes longer. It takes one round trip.
    """
    return run(using, query, within=True)


@contextlib.contextmanager
def savepoint(using: str) -> Iterator[None]:
    """Keep a transaction that is open usable if the block fails; do nothing outside of one."""
    with transaction.atomic(using) if connections[using].in_atomic_block else contextlib.nullcontext():
        yield


def _limit() -> sql.Composed:
    # At least 1 ms: PostgreSQL takes 0 for no limit.
    return compose("queries/session/limit_time", limit=f"{max(1, round(conf.get().CALL_LIMIT * 1000))}ms")


def session(using: str) -> psycopg.Connection[Any]:
    """Return the open psycopg connection to the database `using`, on which a cursor of psycopg's own may be used."""
    connection = connections[using]
    # A backend with a `_cursor` of its own may prepare the session there, as django-tenants sets the search path.
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
    # `_refusals` is the outermost: it needs the Django errors that `wrap_database_errors` raises.
    with _refusals(), connection.wrap_database_errors, cursor_class(pg) as cursor:
        yield cursor


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Raise `RowsHidden` if PostgreSQL refuses a query because row level security would hide rows from it."""
    try:
        yield
    except ProgrammingError as error:
        cause = error.__cause__
        if not isinstance(cause, psycopg.Error) or cause.diag.source_function != "check_enable_rls":
            raise
        raise exceptions.RowsHidden(
            f"{cause.diag.message_primary}: rows would be left out. Use a database role that sees all rows: a role "
            "with BYPASSRLS, or the table's owner without FORCE ROW LEVEL SECURITY."
        ) from error


def run_bound(using: str, query: sql.SQL | sql.Composed, **values: Any) -> list[tuple[Any, ...]]:
    """Run `query` with `values` bound by the server to its `%(names)s`; return its rows.

    A large value is then neither quoted nor parsed as a literal. The statement must not be the first of a transaction:
    this cursor does not announce the context.
    """
    connection, pg = connections[using], session(using)
    # Never prepared: a generic plan would visit every partition of the log.
    with connection.wrap_database_errors, psycopg.Cursor(pg) as cursor:
        cursor.execute(query, values, prepare=False)
        return cursor.fetchall() if cursor.description else []
