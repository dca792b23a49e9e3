"""Capture switched off for a block of code, which the log and all who read it are told of."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from django.db import ProgrammingError, connections, transaction
from psycopg import errors

from pubsubpull import conf, exceptions
from pubsubpull.audit.context import context as audit
from pubsubpull.audit.history import history
from pubsubpull.capture import registry, sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db import models as django_models

REASON_LIMIT = 2000
"""The most characters of a reason."""


@contextlib.contextmanager
def uncaptured(*models: type[django_models.Model] | str, reason: str, using: str | None = None) -> Iterator[None]:
    """Switch capture of published models off for a block of code, which is one transaction or a savepoint of one.

    What is written to the models' tables within leaves no change in the log, whoever writes it on this connection.
    One change of each model says so instead, of the op `uncaptured`: its request names who it was, and has `reason` in
    its metadata. Readers get it; replicas copy the model's rows again. An exception takes back the block as
    `transaction.atomic` does, the record too. Also a decorator. `using` is PUBSUBPULL["DATABASE"] by default. Raises
    `PublicationError` for a model that is not published and without a reason, and `ProtectionError` without the right.
    """
    using = using or conf.get().DATABASE
    labels = sorted({_published(model) for model in models})
    if not labels:
        raise exceptions.PublicationError("uncaptured() takes at least one published model.")
    if not isinstance(reason, str) or not reason.strip() or len(reason) > REASON_LIMIT:
        raise exceptions.PublicationError(f"reason: say why, in a text of up to {REASON_LIMIT:,} characters.")
    with audit.context(reason=reason), transaction.atomic(using):
        before = _begin(labels, reason, using)
        yield
        if not connections[using].needs_rollback:  # which resets the setting
            sql.run(using, sql.compose("queries/capture/capture_again", before=before))


def _begin(labels: list[str], reason: str, using: str) -> str:
    """Switch capture off; return what the setting was before."""
    try:
        query = sql.compose("queries/capture/uncapture", labels=labels, reason=audit.clean(reason))
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
    label = history.label(model)
    if registry.get(label) is None:
        known = ", ".join(registry.all_publications()) or "none"
        raise exceptions.PublicationError(f"{label} is not published. Published are: {known}.")
    return label
