"""The calls by which a replica is compared: hashes of key ranges, then of rows, then the few rows that may differ."""

from __future__ import annotations

import contextlib
import itertools
import json
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse  # noqa: TC002  ninja reads the annotations
from ninja import Router

from pubsubpull import exceptions
from pubsubpull.base.database_errors import is_away
from pubsubpull.log import expiry, feed
from pubsubpull.log.cursor import Cursor
from pubsubpull.pull import hashes, instances, problems
from pubsubpull.pull.api import calls, schemas
from pubsubpull.wire import pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pubsubpull.capture.registry import Publication

router = Router()
HASH_ERRORS: dict[int, Any] = dict.fromkeys((400, 401, 404, 410, 413, 500, 503), schemas.Problem)
MOST_RANGES = 1000
"""The most ranges that a table is split into. One call returns at most a tenth of them."""


@router.get(
    "/models/{model}/bounds/",
    response={200: schemas.Bounds, **HASH_ERRORS},
    summary="Keys to split hashes at",
    operation_id="getBounds",
)
def bounds(request: HttpRequest, model: str, each: int = 10_000) -> HttpResponse:
    """Give keys that split the table into ranges of about `each` rows, in the order that hashes are taken in."""
    publication = calls.publication(request, model)
    if not 1 <= each <= 10**9:
        raise problems.invalid("each", "is a number of rows, from 1.")
    keys = hashes.bounds(publication, each=each, most=MOST_RANGES, using=calls.using())
    return calls.answer({"model": publication.label, "keys": keys})


@router.get(
    "/models/{model}/hashes/",
    response={200: schemas.Hashes, **HASH_ERRORS},
    summary="The hashes of key ranges",
    operation_id="getRangeHashes",
)
def ranges(
    request: HttpRequest, model: str, bounds: str = "[null,null]", columns: str | None = None, where: str = "{}"
) -> HttpResponse:
    """Count and hash the rows of ranges that adjoin: `bounds` is a JSON array of keys, null for the beginning and end.

    `columns` are names with commas between, all without it; `where` is a JSON object of columns, each with the list of
    values that a row may have there.
    """
    publication = calls.publication(request, model)
    table, where = _table(publication, columns, where)
    ends = _bounds(publication, bounds)
    with _named(publication, table, "bounds", ends, where):
        hashed = table.ranges(ends, where=where, using=calls.using())
    return calls.answer(
        {
            "model": publication.label,
            "columns": table.columns,
            # As text: many JSON parsers hold numbers as floats, which lose digits of 64 bits.
            "ranges": [{"count": part.rows, "hash": _hex(part.hash)} for part in hashed],
        }
    )


@router.get(
    "/models/{model}/hashes/rows/",
    response={200: schemas.RowHashes, **HASH_ERRORS},
    summary="The hashes of rows",
    operation_id="getRowHashes",
)
def rows(  # noqa: PLR0917  each is a part of the query
    request: HttpRequest,
    model: str,
    after: str | None = None,
    until: str | None = None,
    columns: str | None = None,
    where: str = "{}",
    limit: int = 10_000,
) -> HttpResponse:
    """Give the key and the hash of each row after one key, up to another, at most `limit`."""
    publication = calls.publication(request, model)
    table, where = _table(publication, columns, where)
    if not 1 <= limit <= 10_000:
        raise problems.invalid("limit", "is a number from 1 to 10000.")
    begin, end = _parts(publication, "after", after), _parts(publication, "until", until)
    with _named(publication, table, "after", [(begin, end)], where):
        hashed = table.rows(begin, end, where=where, limit=limit, using=calls.using())
    return calls.answer(
        {"model": publication.label, "items": [{"key": key, "hash": _hex(number)} for key, number in hashed]}
    )


@router.get(
    "/models/{model}/rows/",
    response={200: schemas.Rows, **HASH_ERRORS},
    summary="The rows of some keys",
    operation_id="getRows",
)
def some(request: HttpRequest, model: str, wanted: str, seen: str | None = None) -> HttpResponse:
    """Give the rows of the `wanted` keys (a JSON array), all of one moment; missing rows are left out.

    If several rows have more than 8 MB together, the answer is 413: ask for fewer.

    `seen` is a cursor that the answer must not be older than: a standby that lags behind it answers 503.
    """
    publication = calls.publication(request, model)
    try:
        keys = json.loads(wanted)
    # As in `_bounds`: the text comes from the caller.
    except (ValueError, RecursionError):
        keys = None
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or len(keys) > 1000:
        raise problems.invalid("wanted", "is a JSON array of at most 1000 keys.")
    if seen is not None:
        _not_before(seen)
    items = _checked("wanted", lambda: hashes.rows(publication, keys, using=calls.using()))
    return calls.answer(pages.write_some_rows(publication.label, items))


def _not_before(text: str) -> None:
    # A replica that is ahead of a standby would find each of its newer rows to be wrong.
    try:
        cursor = Cursor.decode(text)
    except exceptions.CursorInvalid as error:
        raise problems.invalid("seen", str(error)) from error
    now = feed.present(calls.using())
    expiry.check(cursor, now)
    if expiry.is_ahead(cursor, now):
        raise problems.Problem(
            status=503,
            type="unavailable",
            title="Not available now",
            detail="This server is a standby that has not seen as much yet. Try again.",
            headers={"Retry-After": "1"},
        )


def _bounds(publication: Publication, text: str) -> list[tuple[hashes.Key, hashes.Key]]:
    try:
        keys = json.loads(text)
    # The text comes from the caller: too deeply nested JSON is as wrong as none.
    except (ValueError, RecursionError):
        keys = None
    most = MOST_RANGES // 10
    if (
        not isinstance(keys, list)
        or not 2 <= len(keys) <= most + 1
        or not all(key is None or isinstance(key, str) for key in keys)
        or None in keys[1:-1]
    ):
        raise problems.invalid(
            "bounds", f"is a JSON array of 2 to {most + 1} keys; only the first and last may be null."
        )
    parts = [_parts(publication, "bounds", key) for key in keys]
    return list(itertools.pairwise(parts))


def _parts(publication: Publication, field: str, key: str | None) -> hashes.Key:
    return None if key is None else _checked(field, lambda: instances.parts(publication, key))


def _table(publication: Publication, columns: str | None, where: str) -> tuple[hashes.Table, str]:
    names = None if columns is None else [name for name in columns.split(",") if name]
    table = _checked("columns", lambda: hashes.of(publication, names, using=calls.using()))
    return table, _checked("where", lambda: hashes.checked_where(publication, where, using=calls.using()))


@contextlib.contextmanager
def _named(
    publication: Publication, table: hashes.Table, field: str, ends: list[tuple[hashes.Key, hashes.Key]], where: str
) -> Iterator[None]:
    """Name what the database cannot hash: a key of the call, or a row of the table."""
    try:
        yield
    except (DatabaseError, UnicodeEncodeError) as error:
        # Before the queries of `fit`: without the database, they would only fail as well.
        if is_away(error):
            raise
        # Asked only after a failure: a call that works is spared the queries.
        if not table.fit(ends, where=where, using=calls.using()):
            raise problems.invalid(field, "A key does not fit the table's primary key.") from error
        raise instances.unreadable_row(publication, error, using=calls.using()) from error


def _checked(field: str, read: Any) -> Any:
    try:
        return read()
    except (exceptions.InvalidKey, exceptions.InvalidColumn) as error:
        raise problems.invalid(field, str(error)) from error


def _hex(number: int) -> str:
    # PostgreSQL's hash is a signed bigint.
    return f"{number % 2**64:016x}"
