"""Which replicas move together: those whose tables refer to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pubsubpull.replica import declaration

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pubsubpull.replica.declaration import Follows, Replica


def tied(names: Collection[str], among: Iterable[Follows]) -> set[str]:
    """Return the names of the replicas that a foreign key ties to some of these, directly or by others; and theirs.

    Where one of them stands still, they may not get far: a row may come to refer to one that it does not have yet, or
    that it still has may go.
    """
    if not names:
        return set()
    links = [(one.name, other) for one in among if isinstance(one, declaration.Replica) for other in _referred(one)]
    found, before = set(names), 0
    while len(found) > before:
        before = len(found)
        found.update(name for link in links if found & set(link) for name in link)
    return found


def _referred(replica: Replica) -> set[str]:
    """Return the names of the replicas that a replica's foreign keys refer to."""
    fields = (column.field for column in replica.columns)
    models = {field.related_model for field in fields if field.related_model and getattr(field, "db_constraint", False)}
    return {
        other.name
        for other in declaration.all_replicas().values()
        if other.model in models and other.service == replica.service
    }
