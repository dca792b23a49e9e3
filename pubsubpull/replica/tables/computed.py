"""Computed columns: apply the functions of a declaration to the staged rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pubsubpull.capture import sql
from pubsubpull.replica.tables import encoding
from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from pubsubpull.replica.declaration import Column, Replica


def results(replica: Replica, columns: tuple[Column, ...], between: tuple[int, int], using: str) -> str | None:
    """Return the functions' results for the rows between two ordinals, as JSON text; None without a function."""
    if not callable(replica.where) and not any(column.computed for column in columns):
        return None
    computed = [_row(replica, columns, n, text, using) for n, text in rows(replica, between, using)]
    return json.dumps(computed, cls=encoding.Encoder)


def rows(replica: Replica, between: tuple[int, int], using: str) -> list[tuple[int, str]]:
    """Return the ordinal and the JSON text of each row above the first ordinal, up to the second."""
    after, upto = between
    query = sql.compose("queries/replica/rows", source=replica.source, after=after, upto=upto)
    return [(n, text) for n, text in sql.run(using, query)]


def _row(replica: Replica, columns: tuple[Column, ...], n: int, text: str, using: str) -> dict[str, Any]:
    row = jsontext.row(text)
    keep = bool(replica.where(row)) if callable(replica.where) else True
    # Only for rows that are kept: the functions need not understand the others.
    data = {
        column.name: encoding.prepared(column.field, column.source(row), using)
        for column in columns
        if keep and callable(column.source)
    }
    return {"n": n, "keep": keep, "data": data}
