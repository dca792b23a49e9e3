"""A copy's pages, applied: rows first, then the changes since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql as psql

from pubsubpull.capture import sql
from pubsubpull.replica import advance, declaration, handlers, pages, positions
from pubsubpull.replica.appliers import staged
from pubsubpull.replica.models import CopyPage, ReplicaState
from pubsubpull.replica.parking import store
from pubsubpull.replica.tables import removal, statements, writing

if TYPE_CHECKING:
    from collections.abc import Collection

    from pubsubpull.replica.declaration import Follows, Replica
    from pubsubpull.replica.models import Copy

TOGETHER = 10
"""How many kept pages are applied by one statement."""


def apply_all(made: Copy, replicas: Collection[Follows], using: str) -> None:
    """Apply the pages of a copy in the transaction at hand, and let its replicas follow from its cursor."""
    sql.run(using, sql.template("queries/replica/roomy"))
    sql.run(using, sql.compose("queries/replica/touched_table", copy=str(made.pk)))
    sql.run(using, sql.template("queries/replica/touched_index"))
    staged.open_page(using)
    absent: dict[str, frozenset[str]] = {replica.name: frozenset() for replica in replicas}
    for table in tables(replicas):
        _delete_gone(made, table, using)
    kept = list(CopyPage.objects.using(using).filter(copy=made).order_by("id").values_list("id", "source"))
    for source in made.sources:
        mine = [number for number, of in kept if of == source]
        _apply_pages("queries/replica/lay_copied", mine, [r for r in replicas if r.source == source], absent, using)
    # Before the changes, one of which may say that all rows are to be copied again.
    for replica in replicas:
        ReplicaState.objects.using(using).filter(name=replica.name).update(shape=replica.shape, source=replica.source)
    positions.move(replicas, made.cursor, using=using)
    changes = [number for number, of in kept if of == ""]
    _apply_pages("queries/replica/lay_kept_changes", changes, replicas, absent, using)
    for body in CopyPage.objects.using(using).filter(pk__in=changes).order_by("id").values_list("body", flat=True):
        handlers.call(replicas, [pages.Page(body=body, previous="", cursor="", more=False)])
    store.forget([replica.name for replica in replicas], using, why="all rows were copied again")
    for replica in replicas:
        ReplicaState.objects.using(using).filter(name=replica.name).update(absent=sorted(absent[replica.name]))


def _apply_pages(
    file: str, numbers: list[int], replicas: Collection[Follows], absent: dict[str, frozenset[str]], using: str
) -> None:
    for begin in range(0, len(numbers), TOGETHER):
        sql.run(using, sql.template("queries/replica/clear_page"))
        sql.run(using, sql.compose(file, pages=numbers[begin : begin + TOGETHER]))
        for replica in replicas:
            absent[replica.name] = advance.apply_to(replica, absent[replica.name], using=using)


def tables(replicas: Collection[Follows]) -> list[Replica]:
    """Return those that have a table."""
    return [replica for replica in replicas if isinstance(replica, declaration.Replica)]


def _delete_gone(made: Copy, replica: Replica, using: str) -> None:
    found = statements.target(replica, using)
    if replica.model._default_manager.using(using).exists():
        given = {"copy": str(made.pk), "source": replica.source, **statements.key(found)}
        if replica.write is not None:
            _hand_over_gone(found, given, using)
            return
        parts = removal.parts(replica, found.relation)
        del parts["removing"]
        sql.run(using, sql.compose("queries/replica/gone", **parts, **given))


def _hand_over_gone(found: statements.Target, given: dict[str, Any], using: str) -> None:
    """Tell the function that writes the replica's rows of those that the copy does not have."""
    replica = found.replica
    keys = psql.Composed([psql.Identifier("t", name) for name in replica.key]).join(statements.COMMA)
    rows = sql.run(using, sql.compose("queries/replica/gone_keys", keys=keys, target=found.relation, **given))
    for begin in range(0, len(rows), writing.AT_ONCE):
        some = rows[begin : begin + writing.AT_ONCE]
        writing.hand_over(replica, writing.gone(replica, some, using))
