"""Which row PostgreSQL cannot give as JSON, where a page of rows fails: found by reading ever smaller pages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from django.db import DatabaseError
from psycopg import sql as psql

from pubsubpull import conf, exceptions
from pubsubpull.base.database_errors import is_away
from pubsubpull.capture import keys, sql

if TYPE_CHECKING:
    from collections.abc import Callable

    from pubsubpull.capture.registry import Publication


class Part(Protocol):
    """The part of a page that the search looks at."""

    @property
    def count(self) -> int:
        """Return how many rows were read."""

    @property
    def last(self) -> str | None:
        """Return the key of the last one."""

    @property
    def full(self) -> bool:
        """Return True if more may follow."""


def error_of(publication: Publication, key: str | None, cause: BaseException) -> exceptions.Unreadable:
    """Return the error that names a row; only the model if `key` is None."""
    # Not in PostgreSQL's words: they may quote a value of a column that readers do not get.
    code = getattr(cause.__cause__, "sqlstate", None)
    return exceptions.Unreadable(publication.label, key, f"error {code}" if code else type(cause).__name__)


def first(
    publication: Publication,
    read: Callable[[str | None, int], Part],
    *,
    past: str | None,
    most: int,
    newest: bool = False,
    using: str,
) -> str | None:
    """Return the key of the first row that `read(past, limit)` fails for, among the `most` rows after `past`.

    Return None if it is not found within CALL_LIMIT seconds, or is gone meanwhile.
    """
    end, fails = time.monotonic() + conf.get().CALL_LIMIT, False
    while most > 1 or not fails:
        if most < 1 or time.monotonic() > end:
            return None
        size = max(1, most // 2)
        try:
            part = read(past, size)
        except DatabaseError as error:
            if is_away(error):
                return None
            most, fails = size, size == 1
        else:
            if not part.count:
                return None
            past, most = part.last, most - part.count
    return _key_after(publication, past, newest=newest, using=using)


def of_table(
    publication: Publication, read: Callable[[str | None, int], Part], cause: BaseException, *, most: int, using: str
) -> exceptions.Unreadable:
    """Return the error that names the first row of a table that `read` fails for, looked for in pages of `most`."""
    end, past = time.monotonic() + conf.get().CALL_LIMIT, None
    key: str | None = None
    while time.monotonic() < end:
        try:
            part = read(past, most)
        except DatabaseError as error:
            if not is_away(error):
                key = first(publication, read, past=past, most=most, using=using)
            break
        if not part.full:
            break
        past = part.last
    return error_of(publication, key, cause)


def _key_after(publication: Publication, past: str | None, *, newest: bool, using: str) -> str | None:
    names = [psql.Identifier(name) for name in publication.key_columns]
    comma = psql.SQL(", ")
    beyond: psql.Composable = psql.SQL("true")
    if past is not None:
        values = [psql.Literal(part) for part in keys.parts(publication, past)]
        than = psql.SQL("<" if newest else ">")
        beyond = psql.SQL("ROW({}) {} ROW({})").format(comma.join(names), than, comma.join(values))
    ordered = psql.SQL("{} DESC" if newest else "{}")
    query = sql.compose(
        "queries/instances/next_key",
        columns=publication.key_columns,
        names=comma.join(names),
        table=psql.Identifier(*filter(None, publication.table)),
        beyond=beyond,
        ordered=comma.join(ordered.format(name) for name in names),
    )
    try:
        with sql.savepoint(using):
            rows = sql.run_within(using, query)
    except DatabaseError:  # swallowed: the key is one more thing that this row does not give
        return None
    return str(rows[0][0]) if rows else None
