"""Receiving: a page is applied whole, in one transaction, together with the cursor that says so."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction

from example.billing.models import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pubsubpull.pull.client import Instance

SOURCE = "shop"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gap:
    """The page does not go on from where we are; `cursor` is where that is."""

    cursor: str


def apply(body: str) -> Gap | None:
    """Apply a page of changes, JSON text, unless it begins elsewhere than at our cursor: repeated, or one was lost.

    Raises ValueError, KeyError or TypeError where the text is no page.
    """
    page: dict[str, Any] = json.loads(body)
    items, cursor, previous = page["items"], page["cursor"], page["previous"]
    truncates = any(item["op"] == "truncate" for item in items)
    with transaction.atomic():
        stored = Source.objects.select_for_update().get(name=SOURCE).cursor
        if previous != stored:
            return Gap(cursor=stored)
        with connection.cursor() as run:
            if truncates:
                run.execute(_sql("clear"), {"body": body})
            run.execute(_sql("apply"), {"body": body, "cursor": cursor, "kind": "changes"})
    return None


def load(model: str, rows: Iterable[Instance]) -> None:
    """Apply rows as they are, as if each had just been inserted; the cursor stays."""
    changes = [
        {"version": row.version, "model": model, "key": row.key, "op": "insert", "new": row.data} for row in rows
    ]
    body = json.dumps({"items": changes}, cls=DjangoJSONEncoder)
    with transaction.atomic(), connection.cursor() as run:
        cursor = Source.objects.select_for_update().get(name=SOURCE).cursor
        run.execute(_sql("apply"), {"body": body, "cursor": cursor, "kind": "instances"})


@functools.cache
def _sql(name: str) -> str:
    return (Path(__file__).parent / "sql" / f"{name}.sql").read_text()
