"""System checks of the declared replicas and handlers."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any

from django.core import checks
from django.db import DatabaseError, models, router

from pubsubpull import conf
from pubsubpull.events import declare
from pubsubpull.replica import cohorts, declaration, health, services
from pubsubpull.replica.handlers import declare as handlers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django.core.checks import CheckMessage

    from pubsubpull.replica.declaration import Replica


@checks.register("pubsubpull")
def check_replicas(**_: Any) -> list[CheckMessage]:
    """E020: a service is unknown. E021: a key is not unique. W020: another database."""
    if conf.problems(conf.given()):
        return []  # E001 reports the settings.
    messages: list[CheckMessage] = [
        checks.Error(
            f"The service {name!r}, which replicas or handlers follow, is not in PUBSUBPULL['SERVICES'].",
            hint="Add it there, with its url and token.",
            id="pubsubpull.E020",
        )
        for name in cohorts.services()
        if name not in services.names()
    ]
    for replica in declaration.all_replicas().values():
        messages += _replica(replica)
    return messages


@checks.register("pubsubpull")
def check_handlers(**_: Any) -> list[CheckMessage]:
    """E022: a handler has no service. E023: two have one name. E024: an own event is not declared."""
    return [*_homeless(), *_named_twice(), *_unknown_events()]


def _homeless() -> Iterator[CheckMessage]:
    for handler in handlers.without_replica(None):
        yield checks.Error(
            f"The handler {handler.name} follows {handler.source}, which this service does not publish and of which "
            "there is no replica, and names no service.",
            hint="Name the service: on_change(…, service=…).",
            id="pubsubpull.E022",
        )


def _named_twice() -> Iterator[CheckMessage]:
    names = collections.Counter(effect.name for effect in cohorts.all_effects())
    for name in [name for name, count in names.items() if count > 1]:
        yield checks.Error(
            f"Two handlers, or a handler and a replica, have the name {name}: they would share one position.",
            hint="Give one of them another name=….",
            id="pubsubpull.E023",
        )


def _unknown_events() -> Iterator[CheckMessage]:
    for handler in handlers.without_replica(handlers.LOCAL):
        if handler.takes_events and handler.kind is None:
            yield checks.Error(
                f"The handler {handler.name} is for {handler.source}, which is no event of this service.",
                hint="Correct the label, or say which service=… emits it. The events are: "
                f"{', '.join(declare.all_kinds()) or 'none'}.",
                id="pubsubpull.E024",
            )


@checks.register("pubsubpull", checks.Tags.database)
def check_columns(*, databases: Iterable[str] | None = None, **_: Any) -> list[CheckMessage]:
    """W021: the source does not send a replicated column."""
    if conf.problems(conf.given()) or conf.get().DATABASE not in (databases or ()):
        return []
    try:
        missing = health.unsent(cohorts.services(), conf.get().DATABASE)
    except DatabaseError:
        return []  # Swallowed: before the first migration, the tables do not exist.
    return [
        checks.Warning(
            f"{name}: its source does not send {', '.join(columns)}; rows get the default.",
            hint="Correct the names, or map them in `fields`; None marks a field that is not replicated.",
            id="pubsubpull.W021",
        )
        for name, columns in missing.items()
    ]


def _replica(replica: Replica) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    if not _unique(replica):
        messages.append(
            checks.Error(
                f"{replica.name}: its key, {', '.join(replica.key)}, is not unique.",
                hint="Give the field unique=True, or several of them a UniqueConstraint without a condition.",
                obj=replica.model,
                id="pubsubpull.E021",
            )
        )
    if router.db_for_write(replica.model) != conf.get().DATABASE:
        messages.append(
            checks.Warning(
                f"{replica.name} is written to another database than PUBSUBPULL['DATABASE'] names.",
                hint="Let the router send it there, or name its database in PUBSUBPULL['DATABASE'].",
                obj=replica.model,
                id="pubsubpull.W020",
            )
        )
    return messages


def _unique(replica: Replica) -> bool:
    """Return True if the key is the primary key, a unique field, or an unconditional unique constraint."""
    meta, key = replica.model._meta, set(replica.key)
    fields = {field.name: str(field.column) for field in meta.local_concrete_fields}
    primary = [str(field.column) for field in getattr(meta, "pk_fields", None) or [meta.pk]]
    sets = [set(primary), *({str(field.column)} for field in meta.local_concrete_fields if field.unique)]
    sets += [{fields[name] for name in names} for names in meta.unique_together]
    # PostgreSQL's ON CONFLICT takes neither a partial nor a deferrable constraint.
    sets += [
        {fields[name] for name in unique.fields}
        for unique in meta.constraints
        if isinstance(unique, models.UniqueConstraint)
        if unique.fields and unique.condition is None and unique.deferrable is None
    ]
    return key in sets
