"""Staging: write pages into a temporary table once, and apply each effect from there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from django.db import IntegrityError

from pubsubpull import exceptions
from pubsubpull.base.database_errors import is_away
from pubsubpull.base.threads import first_line
from pubsubpull.capture import sql
from pubsubpull.replica.effects import Changes, Staged, Summary

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from psycopg import sql as psql

    from pubsubpull.replica.effects import Effect
    from pubsubpull.replica.pages import Page
    from pubsubpull.replica.positions import Position


class Unreadable(exceptions.ReplicaFailed):
    """PostgreSQL cannot read a page: a value is too large or nested too deep."""


def begin_queries(*, relaxed: bool = False) -> list[psql.SQL]:
    """Return the statements that create the temporary table, or empty it.

    With `relaxed`, the commit does not wait for the disk: a crash may then lose it, position and rows together.
    """
    files = ["queries/replica/open_stage", *(["queries/replica/relax"] if relaxed else [])]
    return [sql.template(file) for file in files]


def begin(using: str) -> None:
    """Create the temporary table in this session, or empty it."""
    sql.run_each(using, *begin_queries())


def stage(
    pages: Iterable[Page], *, effects: Iterable[Effect], left_out: Collection[int] = (), using: str
) -> dict[str, Summary]:
    """Stage consecutive pages without the versions `left_out`; return a summary for each source."""
    reads: dict[str, set[str]] = {}
    for effect in effects:
        reads.setdefault(effect.source, set()).update(effect.reads())
    values = {
        "models": list(reads),
        "wanted": json.dumps({source: sorted(names) for source, names in reads.items()}),
        "left_out": list(left_out),
    }
    query = sql.template("queries/replica/stage_changes")
    summaries: dict[str, Summary] = {}
    for number, page in enumerate(pages):
        # A page has fewer than 2^32 changes, so the ordinals of later pages are higher.
        for source, *counted in sql.run_bound(using, query, base=number << 32, body=page.body, **values):
            summaries[source] = summaries.get(source, Summary()).then(*counted)
    return summaries


def summary(source: str, *, effects: Iterable[Effect], using: str) -> Summary:
    """Return the summary of a source that was staged by another statement than that of `stage`."""
    reads = sorted({name for effect in effects if effect.source == source for name in effect.reads()})
    query = sql.compose("queries/replica/staged_summary", source=source, columns=reads)
    ((truncated, rows, whole, uncaptured),) = sql.run(using, query)
    return Summary(truncated=truncated, rows=rows, whole=whole, uncaptured=uncaptured)


def stage_and_apply(
    pages: Iterable[Page],
    effects: Sequence[Effect],
    locked: Mapping[str, Position],
    *,
    types: Mapping[str, Mapping[str, str]] | None = None,
    one_by_one: bool = False,
    left_out: Collection[int] = (),
    using: str,
) -> None:
    """Stage pages and apply them to effects, in the transaction that holds the lock on the positions `locked`.

    `types` are column types, by effect, that are known already. With `one_by_one`, each change is applied alone.
    Raises `ReplicaFailed`, or `IntegrityError` if a constraint does not hold.
    """
    try:
        summaries = stage(pages, effects=effects, left_out=left_out, using=using)
    except Exception as error:
        if is_away(error):
            raise
        # The first effect stands for all: `unreadable_change` finds the change, and with it the effect.
        raise Unreadable(effects[0].name, first_line(error)) from error
    staged = Staged(
        summaries=summaries,
        changes=Changes(pages, left_out=left_out),
        one_by_one=one_by_one,
        types=types or {},
        absent={name: position.absent for name, position in locked.items()},
    )
    apply(staged, effects, using=using)


def apply(staged: Staged, effects: Iterable[Effect], *, using: str) -> None:
    """Apply the staged changes to the effects of their sources. Raises `ReplicaFailed` and `IntegrityError`."""
    for effect in effects:
        if effect.source in staged.summaries:
            _apply(effect, staged, using=using)


def _apply(effect: Effect, staged: Staged, *, using: str) -> None:
    try:
        effect.apply(staged, using=using)
    except Exception as error:
        # A violated constraint may belong to another effect's table. An unavailable database is no effect's failure.
        if isinstance(error, IntegrityError | exceptions.ReplicaFailed) or is_away(error):
            raise
        reason = first_line(error).removeprefix(f"{effect.name}: ")
        raise exceptions.ReplicaFailed(effect.name, reason) from error
