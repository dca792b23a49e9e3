"""A baseline: the present rows of a table are put into the log once, so that histories begin with what was there."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from django.db import transaction
from psycopg import sql as psql

from pubsubpull import exceptions
from pubsubpull.audit.context import blocks, contexts
from pubsubpull.capture import planning, registry, sql, tables
from pubsubpull.log import spans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pubsubpull.audit.context.contexts import Context
    from pubsubpull.capture.registry import Publication

SOURCE = "baseline"
"""The source of the request that a baseline's changes name."""
ROWS_AT_ONCE = 500
"""Rows of one transaction: whoever writes one of them waits for it, and no longer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """How many rows of a table were looked at so far, and how many of them are new in the log."""

    looked: int
    written: int


def last_version(using: str) -> int:
    """Return the version of the log's last change: what `baseline` takes as `since` to record all rows again."""
    return int(sql.run(using, sql.compose("queries/audit/last_id"))[0][0])


def baseline(label: str, *, using: str, since: int | None = None, at_once: int = ROWS_AT_ONCE) -> Iterator[Progress]:
    """Record the rows of a published table that the log has no change of; give progress after each batch of them.

    With `since` it is all rows that have no change after that version. A row that others hold a lock on is
    left to the end, and then waited for alone: no writer ever waits for this in a circle. Interrupted, it goes on
    where it is started again, since what is recorded has a change. Raises `PublicationError` and `RowsHidden`.
    """
    publication, hidden = _ready(label, using)
    parts: dict[str, Any] = {
        "relation": psql.Identifier(*filter(None, publication.table)).as_string(),
        "columns": publication.key_columns,
    }
    rows = {
        **parts,
        "label": publication.label,
        "excluded": hidden,
        "known": publication.known_columns,
        "masked": publication.masked_columns,
        "since": -spans.LATEST if since is None else since,
    }
    yield from _record(parts, rows, blocks.job(SOURCE, None, {"model": publication.label}), using, at_once)


def _record(
    parts: dict[str, Any], rows: dict[str, Any], made_by: Context, using: str, at_once: int
) -> Iterator[Progress]:
    looked, written, past = 0, 0, None
    held: list[Any] = []
    while keys := _one(sql.run(using, sql.compose("queries/audit/keys_after", **parts, past=past, limit=at_once))):
        made, skipped = _write(rows, keys, made_by, using, patient=False)
        looked, written, past = looked + len(keys), written + made, keys[-1]
        held += skipped
        yield Progress(looked=looked, written=written)
    for key in held:
        made, _ = _write(rows, [key], made_by, using, patient=True)
        written += made
    if held:
        yield Progress(looked=looked, written=written)


def _ready(label: str, using: str) -> tuple[Publication, list[str]]:
    """Return a publication whose triggers are in place, and the columns that they leave out."""
    publication, plan = registry.get(label.lower()), planning.plan(using)
    if publication is None:
        published = ", ".join(registry.all_publications())
        raise exceptions.PublicationError(f"{label} is not published. Published are: {published}.")
    table = plan.tables.get(publication.label) if plan else None
    if plan is None or table is None:
        raise exceptions.PublicationError(f"{publication.label} has no table in the database {using}, or that no log.")
    tables.require_whole(publication, using)
    if any((action.schema, action.table) == (table.schema, table.table) for action in plan.actions):
        raise exceptions.PublicationError(
            f"The triggers of {publication.label} are not in place: a row that changes after it was recorded would be "
            "missed. Run it with --sync."
        )
    return publication, [*publication.excluded_columns, *table.computed]


def _write(
    rows: dict[str, Any], keys: list[Any], made_by: Context, using: str, *, patient: bool
) -> tuple[int, list[Any]]:
    query = sql.compose("queries/audit/baseline", **rows, keys=json.dumps(keys), patient=patient)
    with contexts.entered(made_by), transaction.atomic(using):
        ((written, skipped),) = sql.run(using, query)
    return written, skipped or []


def _one(found: list[tuple[Any, ...]]) -> Any:
    return found[0][0]
