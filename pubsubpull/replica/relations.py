"""Which replicas move together: those whose tables refer to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pubsubpull.replica import declaration

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pubsubpull.replica.declaration import Replica
    from pubsubpull.replica.effects import Effect


def tied(names: Collection[str], among: Iterable[Effect]) -> set[str]:
    """Return these names, with those of the tables that foreign keys tie to them, directly or by way of others.

    While one of them waits, those may not get far: a row may come to refer to a row that it lacks, or a row that it
    still has may go.
    """
    if not names:
        return set()
    links = [(effect.name, other) for effect in among if effect.table for other in _referred(effect.table)]
    reached, before = set(names), 0
    while len(reached) > before:
        before = len(reached)
        reached.update(name for link in links if reached & set(link) for name in link)
    return reached


def _referred(replica: Replica) -> set[str]:
    """Return the names of the replicas that a replica's foreign keys refer to."""
    fields = (column.field for column in replica.columns)
    models = {field.related_model for field in fields if field.related_model and getattr(field, "db_constraint", False)}
    return {
        other.name
        for other in declaration.all_replicas().values()
        if other.model in models and other.service == replica.service
    }
