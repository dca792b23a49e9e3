"""`uncaptured()`: switches capture off for a block of code, with a record of it in the log."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from django.db import ProgrammingError, connections, transaction
from psycopg import errors

from pubsubpull import conf, exceptions
from pubsubpull.audit.context import blocks, json_data
from pubsubpull.audit.history import targets
from pubsubpull.capture import registry, sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db import models as django_models

REASON_LIMIT = 2000
"""Characters that a reason may have."""


@contextlib.contextmanager
def uncaptured(*models: type[django_models.Model] | str, reason: str, using: str | None = None) -> Iterator[None]:
    """Switch capture of published models off for a block of code, which is one transaction or a savepoint of one.

    Within the block, no write to the models' tables on this connection reaches the log. Instead, the log gets one
    change with the op `uncaptured` for each model. Its request has the user, and `reason` in its metadata. Readers get
    that change; replicas then copy the model's rows again. An exception rolls the block back with that change, as
    `transaction.atomic` does. It is a decorator as well. `using` is PUBSUBPULL["DATABASE"] by default.

    Raises `PublicationError` without a reason or for a model that is not published, and `ProtectionError` if the
    database role may not switch capture off.
    """
    using = using or conf.get().DATABASE
    labels = sorted({_published(model) for model in models})
    if not labels:
        raise exceptions.PublicationError("uncaptured() takes at least one published model.")
    if not isinstance(reason, str) or not reason.strip() or len(reason) > REASON_LIMIT:
        raise exceptions.PublicationError(f"reason: say why, in a text of up to {REASON_LIMIT:,} characters.")
    with blocks.context(reason=reason), transaction.atomic(using):
        before = _begin(labels, reason, using)
        yield
        # If an inner block asked for a rollback, that resets the setting, and a query would fail.
        if not connections[using].needs_rollback:
            sql.run(using, sql.compose("queries/capture/capture_again", before=before))


def _begin(labels: list[str], reason: str, using: str) -> str:
    """Switch capture off; return the setting's earlier value, which an outer block may have set."""
    try:
        query = sql.compose("queries/capture/uncapture", labels=labels, reason=json_data.clean(reason))
        ((before,),) = sql.run(using, query)
    except ProgrammingError as error:
        if not isinstance(error.__cause__, errors.InsufficientPrivilege):
            raise
        raise exceptions.ProtectionError(
            f"This database role may not switch capture off ({str(error).splitlines()[0]}). Grant it EXECUTE on "
            "pubsubpull_uncapture(text[], text), as `pubsubpull_protect --role` does."
        ) from error
    return str(before)


def _published(model: type[django_models.Model] | str) -> str:
    label = targets.label(model)
    if registry.get(label) is None:
        known = ", ".join(registry.all_publications()) or "none"
        raise exceptions.PublicationError(f"{label} is not published. Published are: {known}.")
    return label
