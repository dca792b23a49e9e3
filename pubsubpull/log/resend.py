"""Resending: rows are written into the log once more, for readers that have lost or never received them."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from django.db import ProgrammingError, transaction
from django.db import models as django_models
from psycopg import errors
from psycopg import sql as psql

from pubsubpull import conf, exceptions
from pubsubpull.capture import registry, sql, tables

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models import QuerySet

    from pubsubpull.capture.registry import Publication

ROWS_AT_ONCE = 500
"""Rows of one transaction. Writers of these rows wait until it ends."""


def resend(target: django_models.Model | QuerySet[Any], *, using: str | None = None) -> int:
    """Write an instance's row, or a queryset's rows, into the log once more; return the number of changes.

    All readers get the rows again, as updates: subscriptions that take updates, replicas, pulls. Rows of published
    parents (multi-table inheritance) are written too. A row that was deleted in the meantime is skipped. `using` is the
    database of the log, by default the target's or PUBSUBPULL["DATABASE"]. Raises `PublicationError` if the model is
    not published or the instance was never saved, and `ProtectionError` if the role may not write to the log.
    """
    if isinstance(target, django_models.Model):
        if target.pk is None:
            raise exceptions.PublicationError(f"{target._meta.label}: this instance has not been saved; save it first.")
        using = using or target._state.db or conf.get().DATABASE
        rows = type(target)._base_manager.using(using).filter(pk=target.pk)
    elif isinstance(target, django_models.QuerySet):
        rows, using = target, using or getattr(target, "_db", None) or conf.get().DATABASE
    else:
        raise exceptions.PublicationError(f"resend() takes an instance or a queryset, not {target!r}.")
    return sum(write(publication, rows, using=using) for publication in _publications(rows.model))


def _publications(model: type[django_models.Model]) -> list[Publication]:
    """Return the publications of a model and of its parents, the parents' first."""
    concrete = model._meta.concrete_model or model
    # Parents first, since a replica's child row has a foreign key to its parent row.
    family = [*reversed(concrete._meta.get_parent_list()), concrete]
    published = [publication for member in family if (publication := registry.get(registry.label_of(member)))]
    if not published:
        known = ", ".join(registry.all_publications()) or "none"
        raise exceptions.PublicationError(f"{concrete._meta.label} is not published. Published are: {known}.")
    return published


def write(publication: Publication, rows: QuerySet[Any], *, using: str) -> int:
    """Write the present rows of a queryset into the log, as updates that change nothing; return their number.

    Each row is read under its lock, so that no later change of the row comes before it in the log. Raises `RowsHidden`
    if row level security would hide rows from the role.
    """
    tables.require_whole(publication, using)
    rows = rows.using(using)
    # By key, so that two calls at once lock their rows in one order: any other order may be a deadlock.
    if not (rows.query.is_sliced or rows.query.combinator):
        rows = rows.order_by("pk")
    keys = rows.values_list("pk", flat=True).iterator(chunk_size=5000)
    return sum(_write(publication, some, using) for some in _batches(keys))


def _batches(keys: Iterable[Any]) -> Iterable[list[Any]]:
    reader = iter(keys)
    while some := list(itertools.islice(reader, ROWS_AT_ONCE)):
        yield some


def _write(publication: Publication, keys: list[Any], using: str) -> int:
    parts = [[str(part) for part in key] if isinstance(key, tuple) else [str(key)] for key in keys]
    query = sql.compose(
        "queries/feed/resend",
        relation=psql.Identifier(*filter(None, publication.table)).as_string(),
        label=publication.label,
        columns=publication.key_columns,
        excluded=publication.excluded_columns,
        known=publication.known_columns,
        masked=publication.masked_columns,
        keys=json.dumps(parts),
    )
    try:
        with transaction.atomic(using):
            ((written,),) = sql.run(using, query)
    except ProgrammingError as error:
        if not isinstance(error.__cause__, errors.InsufficientPrivilege):
            raise
        raise exceptions.ProtectionError(
            f"This database role may not write to the log ({str(error).splitlines()[0]}). Send it again with "
            "`pubsubpull_resend`, by the role that owns the log: the one that migrates."
        ) from error
    return int(written)
