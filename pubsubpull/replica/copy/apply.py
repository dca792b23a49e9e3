"""Apply the pages of a copy: the rows first, then the changes since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql as psql

from pubsubpull.capture import sql
from pubsubpull.replica import pages, positions, staging
from pubsubpull.replica.effects import Changes, Staged, Summary
from pubsubpull.replica.models import CopyPage, ReplicaState
from pubsubpull.replica.parking import store
from pubsubpull.replica.tables import removal, values, writing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pubsubpull.replica.cohorts import Cohort
    from pubsubpull.replica.declaration import Replica
    from pubsubpull.replica.effects import Effect
    from pubsubpull.replica.models import Copy
    from pubsubpull.replica.tables.values import Target

PAGES_AT_ONCE = 10
"""The number of stored pages that one statement applies."""


def apply_all(copy: Copy, cohort: Cohort, using: str) -> None:
    """Apply the pages of a copy in the caller's transaction, and move the cohort to the copy's cursor."""
    sql.run(using, sql.template("queries/replica/roomy"))
    sql.run(using, sql.compose("queries/replica/touched_table", copy=str(copy.pk)))
    sql.run(using, sql.template("queries/replica/touched_index"))
    staging.begin(using)
    tables = [effect for effect in cohort.members if effect.table]
    for table in filter(None, (effect.table for effect in tables)):
        _remove_gone(copy, table, using)
    absent: dict[str, frozenset[str]] = {}
    kept = list(CopyPage.objects.using(using).filter(copy=copy).order_by("id").values_list("id", "source"))
    for source in copy.sources:
        numbers = [number for number, of in kept if of == source]
        own = [effect for effect in tables if effect.source == source]
        _apply_pages("queries/replica/stage_copied", numbers, own, absent, using)
    # Before the changes are applied: a change may require a new copy of all rows, and moving would undo that.
    for effect in cohort.members:
        ReplicaState.objects.using(using).filter(name=effect.name).update(shape=effect.shape, source=effect.source)
    positions.move(cohort.members, copy.cursor, using=using)
    changes = [number for number, of in kept if of == ""]
    _apply_pages("queries/replica/stage_kept_changes", changes, tables, absent, using)
    # After all tables: handlers read the rows as the changes leave them.
    others = [effect for effect in cohort.effects if effect.table is None]
    _apply_changes(changes, others, using)
    store.forget([effect.name for effect in cohort.members], using, why="all rows were copied again")
    for effect in cohort.members:
        columns = sorted(absent.get(effect.name, ()))
        ReplicaState.objects.using(using).filter(name=effect.name).update(absent=columns)


def _apply_pages(
    file: str, numbers: list[int], tables: Sequence[Effect], absent: dict[str, frozenset[str]], using: str
) -> None:
    for begin in range(0, len(numbers), PAGES_AT_ONCE):
        sql.run(using, sql.template("queries/replica/clear_stage"))
        sql.run(using, sql.compose(file, pages=numbers[begin : begin + PAGES_AT_ONCE]))
        sources = {effect.source for effect in tables}
        summaries = {source: staging.summary(source, effects=tables, using=using) for source in sorted(sources)}
        staging.apply(Staged(summaries=summaries, absent=absent), tables, using=using)


def _apply_changes(numbers: list[int], effects: Sequence[Effect], using: str) -> None:
    """Apply the stored changes to effects that look at each change."""
    if not effects:
        return
    summaries = {effect.source: Summary() for effect in effects}
    for page in _kept(numbers, using):
        staging.apply(Staged(summaries=summaries, changes=Changes([page])), effects, using=using)


def _kept(numbers: list[int], using: str) -> Iterator[pages.Page]:
    """Yield the stored pages one by one, since all of them may not fit into memory."""
    bodies = CopyPage.objects.using(using).filter(pk__in=numbers).order_by("id").values_list("body", flat=True)
    for body in bodies.iterator(chunk_size=1):
        yield pages.Page(body=body, previous="", cursor="", more=False)


def _remove_gone(copy: Copy, replica: Replica, using: str) -> None:
    """Remove the rows that are not in the copy."""
    if not replica.model._default_manager.using(using).exists():
        return  # A first copy has nothing to remove, and is spared the comparison of all keys.
    target = values.target(replica, using)
    parts = {"copy": str(copy.pk), "source": replica.source, **values.key_parts(target)}
    if replica.write is not None:
        _hand_over_gone(target, parts, using)
        return
    how = removal.parts(replica, target.relation)
    del how["removing"]
    sql.run(using, sql.compose("queries/replica/gone", **how, **parts))


def _hand_over_gone(target: Target, parts: dict[str, Any], using: str) -> None:
    """Pass deletes of the rows that are not in the copy to the function that writes the replica's rows."""
    replica = target.replica
    keys = psql.Composed([psql.Identifier("t", name) for name in replica.key]).join(values.COMMA)
    rows = sql.run(using, sql.compose("queries/replica/gone_keys", keys=keys, target=target.relation, **parts))
    for begin in range(0, len(rows), writing.GONE_AT_ONCE):
        some = rows[begin : begin + writing.GONE_AT_ONCE]
        writing.hand_over(replica, writing.gone(replica, some, using))
