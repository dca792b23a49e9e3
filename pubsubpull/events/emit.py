"""Emitting: an event becomes a row of the change log, in the transaction at hand."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from django.db import ProgrammingError, connections, transaction
from psycopg import errors

from pubsubpull import conf, exceptions
from pubsubpull.capture import sql
from pubsubpull.events import declare

if TYPE_CHECKING:
    from collections.abc import Iterable

NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""The escape of NUL in a JSON text; not a backslash that happens to stand before the letters u0000."""
EVENTS_AT_ONCE = 1000
"""The most events that one statement of `emit_many` writes: all of them are in the statement's text."""


def emit(event: Any, *, using: str | None = None, alone: bool = False) -> int:
    """Write an event into the log, in the transaction at hand; return its version.

    `using` is the database whose log it is, by default PUBSUBPULL["DATABASE"]. Outside a transaction this raises
    `EventError`: the event could be committed, or lost, apart from the change that it tells of. `alone=True` says that
    there is no such change. The version is above those of the transaction's earlier changes. Raises `EventError`, which
    names the field, if the event does not fit or is too large, and `ProtectionError` if the role may not emit.
    """
    (version,) = _emit([event], using=using, alone=alone)
    return version


def emit_many(events: Iterable[Any], *, using: str | None = None, alone: bool = False) -> list[int]:
    """Write events into the log as `emit` does, in their order, by few statements; return their versions.

    All are checked before the first is written.
    """
    return _emit(list(events), using=using, alone=alone)


def _emit(events: list[Any], *, using: str | None, alone: bool) -> list[int]:
    using = using or conf.get().DATABASE
    # Before the first write: an event that does not fit must not leave earlier ones in the caller's transaction.
    rows = [_row(event) for event in events]
    if not alone and not _in_transaction(using):
        raise exceptions.EventError(
            "transaction",
            "is missing: emit within transaction.atomic(), together with the change that the event tells of; "
            "alone=True if there is none.",
            label=rows[0][0] if rows else "",
        )
    versions: list[int] = []
    # Needed with `alone`, outside of a transaction: the statements then write all events or none.
    with transaction.atomic(using, savepoint=False):
        for start in range(0, len(rows), EVENTS_AT_ONCE):
            versions += _write(rows[start : start + EVENTS_AT_ONCE], using)
    return versions


def _row(event: Any) -> tuple[str, str, str]:
    """Return the label, the key's text and the data's JSON text of an event."""
    kind = declare.kind_of(event)
    # `kind_of` accepts classes, too.
    if isinstance(event, type):
        raise exceptions.EventError("event", "is the class itself: emit an instance.", label=kind.label)
    key = kind.key_of(event)
    data = kind.adapter.dump_json(event).decode()
    if kind.version > 1:
        # The texts are joined, so that the data is not parsed and written a second time.
        head = json.dumps({declare.VERSION_FIELD: kind.version})
        data = head[:-1] + (", " if data != "{}" else "") + data[1:]
    if NUL.search(data):
        raise exceptions.EventError("data", "has the character NUL, which PostgreSQL cannot store.", label=kind.label)
    if len(data) > conf.get().EVENT_LIMIT:
        raise exceptions.EventError(
            "data",
            f"has {len(data):,} characters; the most is EVENT_LIMIT, {conf.get().EVENT_LIMIT:,}.",
            label=kind.label,
        )
    return kind.label, key if isinstance(key, str) else json.dumps([str(part) for part in key]), data


def _in_transaction(using: str) -> bool:
    connection = connections[using]
    # With AUTOCOMMIT off, Django is in a transaction without an atomic block.
    return connection.in_atomic_block or not connection.get_autocommit()


def _write(rows: list[tuple[str, str, str]], using: str) -> list[int]:
    labels, keys, data = zip(*rows, strict=True)
    query = sql.compose("queries/events/emit", labels=list(labels), keys=list(keys), data=list(data))
    try:
        return [version for (version,) in sql.run(using, query)]
    except ProgrammingError as error:
        if not isinstance(error.__cause__, errors.InsufficientPrivilege):
            raise
        # The first line only: the others of a database error quote the statement, here with the events' data.
        raise exceptions.ProtectionError(
            f"This database role may not emit events ({str(error).splitlines()[0]}). GRANT EXECUTE ON FUNCTION "
            "pubsubpull_emit to it, or run `manage.py pubsubpull_protect --role` with the role that migrates."
        ) from error
