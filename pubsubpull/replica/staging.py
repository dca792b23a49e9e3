"""Staging: pages are laid out as rows of a temporary table once, and then applied to each effect from there."""

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
    """PostgreSQL does not read a page: a value in it is too large or nested too deep for this server."""


def begin_queries(*, relaxed: bool = False) -> list[psql.SQL]:
    """Return the statements that make the temporary table and empty it; `relaxed`, no commit waits for the disk."""
    files = ["queries/replica/open_stage", *(["queries/replica/relax"] if relaxed else [])]
    return [sql.template(file) for file in files]


def begin(using: str) -> None:
    """Make the temporary table in this session, and empty it."""
    sql.run_each(using, *begin_queries())


def stage(
    pages: Iterable[Page], *, effects: Iterable[Effect], left_out: Collection[int] = (), using: str
) -> dict[str, Summary]:
    """Stage pages, one behind the other, without the versions `left_out`; return what is staged, by source."""
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
        for source, *counted in sql.run_bound(using, query, base=number << 32, body=page.body, **values):
            summaries[source] = summaries.get(source, Summary()).then(*counted)
    return summaries


def summary(source: str, *, effects: Iterable[Effect], using: str) -> Summary:
    """Return what is staged of a source, when something else than `stage` staged it."""
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
    """Stage pages and apply them to effects, in the transaction that has the positions `locked`.

    Raises `ReplicaFailed`, or `IntegrityError` if a constraint does not hold.
    """
    try:
        summaries = stage(pages, effects=effects, left_out=left_out, using=using)
    except Exception as error:
        if is_away(error):
            raise
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
    """Apply what is staged to the effects that it concerns. Raises `ReplicaFailed` and `IntegrityError`."""
    for effect in effects:
        if effect.source in staged.summaries:
            _apply(effect, staged, using=using)


def _apply(effect: Effect, staged: Staged, *, using: str) -> None:
    try:
        effect.apply(staged, using=using)
    except Exception as error:
        # A constraint may be that of another effect's table, and a database that is away is no effect's failure.
        if isinstance(error, IntegrityError | exceptions.ReplicaFailed) or is_away(error):
            raise
        reason = first_line(error).removeprefix(f"{effect.name}: ")
        raise exceptions.ReplicaFailed(effect.name, reason) from error
