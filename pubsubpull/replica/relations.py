"""Relations: the replicas that foreign keys tie together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pubsubpull.replica import declaration

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pubsubpull.replica.declaration import Replica
    from pubsubpull.replica.effects import Effect


def tied(names: Collection[str], among: Iterable[Effect]) -> set[str]:
    """Return `names` and the names of all tables tied to them by foreign keys, directly or through other tables.

    While a replica waits, the replicas tied to it may fail: their rows may refer to rows that it lacks, or its rows may
    refer to a row that they delete.
    """
    if not names:
        return set()
    links = [(effect.name, other) for effect in among if effect.table for other in _referred(effect.table)]
    # Both directions, until no further name is reached: a tie holds for the referring and the referred table.
    reached, before = set(names), 0
    while len(reached) > before:
        before = len(reached)
        reached.update(name for link in links if reached & set(link) for name in link)
    return reached


def _referred(replica: Replica) -> set[str]:
    """Return the names of the replicas to which a replica's foreign keys refer."""
    fields = (column.field for column in replica.columns)
    models = {field.related_model for field in fields if field.related_model and getattr(field, "db_constraint", False)}
    return {
        other.name
        for other in declaration.all_replicas().values()
        if other.model in models and other.service == replica.service
    }
