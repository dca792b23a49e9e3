"""The rows of a published table, as they are now."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, DataError
from psycopg import sql as psql

from pubsubpull import exceptions
from pubsubpull.base.database_errors import is_away
from pubsubpull.capture import keys, sql, tables
from pubsubpull.log import sizes
from pubsubpull.pull import unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pubsubpull.capture.registry import Publication

parts = keys.parts
PAGE = 1000
"""How many rows are read at a time where one of a whole table is looked for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instances:
    """Some rows as JSON text, items with commas between. `last` is the last one's key, None where there is none.

    `full` says that there may be more: there are as many as were asked for, or they have the size of a page.
    """

    items: str
    count: int
    last: str | None
    full: bool


def page(
    publication: Publication,
    *,
    after: str | None,
    limit: int,
    using: str,
    until: str | None = None,
    newest: bool = False,
) -> Instances:
    """Return at most `limit` rows by primary key, after the key `after`, up to `until`.

    Raises `InvalidKey`, and `Unreadable` for the first row that PostgreSQL cannot give.

    With `newest` the highest keys come first, and `after` is a key to go on below.
    """
    return _read(publication, past=after, until=until, only=None, limit=limit, using=using, newest=newest)


def ranges(publication: Publication, *, parts: int, using: str) -> tuple[int, list[str]]:
    """Return about how many rows there are, and the keys that split them into at most so many ranges."""
    tables.require_whole(publication, using)
    ordered = [psql.Identifier(name) for name in publication.key_columns]
    return split(publication, ordered=ordered, parts=psql.Literal(parts), using=using)


def split(
    publication: Publication, *, ordered: Sequence[psql.Composable], parts: psql.Composable, using: str
) -> tuple[int, list[str]]:
    """Return the same as `ranges`, in a given order. At most `parts` ranges are made of the table's `rows`."""
    table = psql.Identifier(*filter(None, publication.table))
    query = sql.compose(
        "queries/instances/splits",
        relation=table.as_string(),
        table=table,
        names=psql.SQL(", ").join(psql.Identifier(name) for name in publication.key_columns),
        ordered=psql.SQL(", ").join(ordered),
        columns=publication.key_columns,
        parts=parts,
    )
    ((rows, found),) = sql.run_within(using, query)
    return rows, list(found)


def one(publication: Publication, key: str, *, using: str) -> str | None:
    """Return one row's item, None where there is no such row. Raises `InvalidKey` and `Unreadable`."""
    found = _read(publication, past=None, until=None, only=key, limit=1, using=using)
    return found.items if found.count else None


def query(
    publication: Publication,
    *,
    limit: int,
    past: str | None = None,
    until: str | None = None,
    only: str | None = None,
    newest: bool = False,
) -> psql.Composed:
    """Return the query for at most `limit` rows after the key `past`, up to `until`, or the one row of the key `only`.

    Raises `InvalidKey`.
    """
    return sql.compose(
        "queries/instances/page",
        relation=psql.Identifier(*filter(None, publication.table)).as_string(),
        label=publication.label,
        columns=publication.key_columns,
        excluded=publication.excluded_columns,
        known=publication.known_columns,
        masked=publication.masked_columns,
        past=None if past is None else parts(publication, past),
        until=None if until is None else parts(publication, until),
        only=None if only is None else parts(publication, only),
        limit=limit,
        size=sizes.PAGE_BYTES,
        newest=newest,
    )


def _read(
    publication: Publication,
    *,
    past: str | None,
    until: str | None,
    only: str | None,
    limit: int,
    using: str,
    newest: bool = False,
) -> Instances:
    def read(past: str | None, limit: int) -> Instances:
        return _fetch(publication, past=past, until=until, only=only, limit=limit, using=using, newest=newest)

    try:
        return read(past, limit)
    # JSON can hold half of a surrogate pair, and UTF-8 cannot.
    except UnicodeEncodeError as error:
        raise _no_key(publication) from error
    except DatabaseError as error:
        if is_away(error):
            raise
        _check_key(publication, functools.partial(read, past), error)
        key = only
        if only is None:
            key = unreadable.first(publication, read, past=past, most=limit, newest=newest, using=using)
        raise unreadable.error_of(publication, key, error) from error


def _fetch(publication: Publication, *, limit: int, using: str, **bounds: Any) -> Instances:
    rows = query(publication, limit=limit, **bounds)
    # A savepoint: after an error, the search for its row goes on in the same transaction.
    with sql.savepoint(using):
        ((items, count, last, cut),) = sql.run_within(using, rows)
    return Instances(items=items, count=count, last=last, full=cut or count == limit)


def unreadable_row(publication: Publication, cause: BaseException, *, using: str) -> exceptions.Unreadable:
    """Return the error that names the first row of the table that PostgreSQL cannot give; the model if none is found.

    `cause` is the error of a call that has read many rows.
    """
    read = functools.partial(_after, publication, using=using)
    return unreadable.of_table(publication, read, cause, most=PAGE, using=using)


def _after(publication: Publication, past: str | None, limit: int, *, using: str) -> Instances:
    return _fetch(publication, past=past, limit=limit, using=using)


def _check_key(publication: Publication, read: Callable[[int], object], error: DatabaseError) -> None:
    """Raise what the error is if it comes without reading any row, too."""
    try:
        read(0)
    except DatabaseError:
        if isinstance(error, DataError):
            raise _no_key(publication) from error
        raise error from None


def _no_key(publication: Publication) -> exceptions.InvalidKey:
    return exceptions.InvalidKey(f"The key does not fit {', '.join(publication.key_columns)}.")
