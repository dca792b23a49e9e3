"""A baseline records the present rows of a table in the log, so that each object's history begins with its row."""

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
"""The source of the request of a baseline's changes."""
ROWS_AT_ONCE = 500
"""Rows of one transaction. A writer of such a row waits until the transaction ends."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of a baseline."""

    looked: int
    """The rows that were examined so far."""
    written: int
    """The rows that were recorded in the log so far."""


def last_version(using: str) -> int:
    """Return the version of the log's last change. Passed to `baseline` as `since`, all rows are recorded again."""
    return int(sql.run(using, sql.compose("queries/audit/last_id"))[0][0])


def baseline(label: str, *, using: str, since: int | None = None, at_once: int = ROWS_AT_ONCE) -> Iterator[Progress]:
    """Record the rows of a published table that have no change in the log; yield the progress after each batch.

    With `since`, record the rows that have no change after that version. A batch has `at_once` rows. After an
    interruption, another call does the rest: a recorded row has a change.

    Raises `PublicationError` if the model is not published or its triggers are not installed, and `RowsHidden` if row
    level security hides rows.
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
    parts: dict[str, Any], rows: dict[str, Any], context: Context, using: str, at_once: int
) -> Iterator[Progress]:
    """Record the rows batch by batch, in the order of their keys; yield the progress after each batch."""
    looked, written, past = 0, 0, None
    locked: list[Any] = []
    # By key and not by offset, which rows inserted or deleted meanwhile would shift.
    while keys := _keys_after(parts, past, at_once, using):
        recorded, skipped = _write(rows, keys, context, using, patient=False)
        looked, written, past = looked + len(keys), written + recorded, keys[-1]
        locked += skipped
        yield Progress(looked=looked, written=written)
    # Locked rows come last, each in a transaction of its own. A transaction that waits for a row must hold no other
    # row: the writer that it waits for may be waiting for that one.
    for key in locked:
        recorded, _ = _write(rows, [key], context, using, patient=True)
        written += recorded
    if locked:
        yield Progress(looked=looked, written=written)


def _ready(label: str, using: str) -> tuple[Publication, list[str]]:
    """Return a publication and the columns to leave out. Raises an error if the baseline would not be complete."""
    publication, plan = registry.get(label.lower()), planning.plan(using)
    if publication is None:
        published = ", ".join(registry.all_publications())
        raise exceptions.PublicationError(f"{label} is not published. Published are: {published}.")
    table = plan.tables.get(publication.label) if plan else None
    if plan is None or table is None:
        raise exceptions.PublicationError(
            f"{publication.label} has no table in the database {using}, or the database has no log."
        )
    tables.require_whole(publication, using)
    # Without triggers, a row may change after it was recorded, and the log would not know.
    if any((action.schema, action.table) == (table.schema, table.table) for action in plan.actions):
        raise exceptions.PublicationError(
            f"The triggers of {publication.label} are not installed as published: the log would miss later changes of "
            "a recorded row. Run it with --sync."
        )
    return publication, [*publication.excluded_columns, *table.computed]


def _write(
    rows: dict[str, Any], keys: list[Any], context: Context, using: str, *, patient: bool
) -> tuple[int, list[Any]]:
    """Record the rows with these keys; return the number of recorded rows, and the keys of rows that are locked.

    If `patient`, wait for locked rows instead.
    """
    query = sql.compose("queries/audit/baseline", **rows, keys=json.dumps(keys), patient=patient)
    with contexts.entered(context), transaction.atomic(using):
        ((written, skipped),) = sql.run(using, query)
    return written, skipped or []


def _keys_after(parts: dict[str, Any], past: Any, limit: int, using: str) -> list[Any] | None:
    """Return the next keys of the table after the key `past`, in order; None at the end."""
    ((keys,),) = sql.run(using, sql.compose("queries/audit/keys_after", **parts, past=past, limit=limit))
    return keys  # type: ignore[no-any-return]
