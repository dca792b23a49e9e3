"""Resending: rows are put into the log once more, for readers that have lost or never had them."""

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
"""Rows of one transaction: each keeps its rows' writers waiting, and no longer."""


def resend(target: django_models.Model | QuerySet[Any], *, using: str | None = None) -> int:
    """Put an instance's row, or a query's rows, into the log once more as they are now; return how many changes.

    All readers get them again: subscriptions that take updates, replicas, pulls. Rows of published parents (multi-table
    inheritance) are put there too. A row that is gone by now is passed by. `using` is the database whose log it is, by
    default the one that the target names or PUBSUBPULL["DATABASE"]. Raises `PublicationError` where the model is not
    published or the instance was never saved, `ProtectionError` where the role may not write to the log.
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
    """Return the publications of a model and of its parents, the parents' first, as rows refer to these."""
    concrete = model._meta.concrete_model or model
    family = [*reversed(concrete._meta.get_parent_list()), concrete]
    found = [registry.get(registry.label_of(one)) for one in family]
    published = [one for one in found if one is not None]
    if not published:
        known = ", ".join(registry.all_publications()) or "none"
        raise exceptions.PublicationError(f"{concrete._meta.label} is not published. Published are: {known}.")
    return published


def write(publication: Publication, rows: QuerySet[Any], *, using: str) -> int:
    """Put the rows of a query into the log as they are now, as updates that change nothing; return how many.

    Each row is read under its lock, so that its change stands in the log where it belongs, before any later one.
    Raises `RowsHidden`.
    """
    tables.require_whole(publication, using)
    rows = rows.using(using)
    if not (rows.query.is_sliced or rows.query.combinator):
        rows = rows.order_by("pk")  # so that two at once lock the rows of one batch after the other
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
