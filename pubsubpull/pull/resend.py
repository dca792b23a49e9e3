"""Resending: rows are put into the log once more, for readers that have lost or never had them."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from django.db import transaction
from psycopg import sql as psql

from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models import QuerySet

    from pubsubpull.capture.registry import Publication

AT_ONCE = 500
"""Rows of one transaction: each keeps its rows' writers waiting, and no longer."""


def resend(publication: Publication, rows: QuerySet[Any], *, using: str) -> int:
    """Put the rows of a query into the log as they are now, as updates that change nothing; return how many.

    Each row is read under its lock, so that its change stands in the log where it belongs, before any later one.
    """
    keys = rows.using(using).order_by("pk").values_list("pk", flat=True).iterator(chunk_size=5000)
    return sum(_write(publication, some, using) for some in _batches(keys))


def _batches(keys: Iterable[Any]) -> Iterable[list[Any]]:
    reader = iter(keys)
    while some := list(itertools.islice(reader, AT_ONCE)):
        yield some


def _write(publication: Publication, keys: list[Any], using: str) -> int:
    parts = [[str(part) for part in key] if isinstance(key, tuple) else [str(key)] for key in keys]
    query = sql.compose(
        "queries/resend",
        relation=psql.Identifier(*filter(None, publication.table)).as_string(),
        label=publication.label,
        columns=publication.key_columns,
        excluded=publication.excluded_columns,
        masked=publication.masked_columns,
        keys=json.dumps(parts),
    )
    with transaction.atomic(using):
        ((written,),) = sql.run(using, query)
    return int(written)
