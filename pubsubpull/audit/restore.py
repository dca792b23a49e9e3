"""Restoring: an earlier state of an object is written back, as an ordinary change."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import TYPE_CHECKING, Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import (
    DataError,
    IntegrityError,
    InternalError,
    NotSupportedError,
    ProgrammingError,
    connections,
    transaction,
)
from psycopg import sql as psql

from pubsubpull import conf, exceptions
from pubsubpull.audit import history
from pubsubpull.capture import jsontext, sql, tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pubsubpull.capture.registry import Publication

REFUSED = (DataError, IntegrityError, InternalError, NotSupportedError, ProgrammingError)
JSON_TEXT = "pubsubpull:json"
"""The one key of an object that has the text of what jsonb cannot hold."""


def restore(
    target: Any,
    *given: Any,
    values: dict[str, Any] | None = None,
    latest: int | None = None,
    using: str | None = None,
) -> None:
    """Write back the state that a version made: `restore(obj, version)` or `restore(Order, key, version)`.

    The columns that the log does not know, excluded and masked ones, stay as they are; a deleted row is brought back,
    with `values` (by column) for those of them that may not be null. With `latest`, a version, nothing is
    written if the object has changed since. Signals are not sent, since no instance is saved. Raises `RestoreError`.
    """
    *key, version = given
    name, text = history.identify(target, *key, using=using)
    publication, using = history.published(name), using or conf.get().DATABASE
    state = state_of(publication, text, version, values=values or {}, using=using)
    _check_columns(publication, jsontext.loads(state))
    with _refusals(name, text), transaction.atomic(using):
        _write(publication, text, state, latest, using)
        # Foreign keys of Django are checked at the end of the transaction: here is where to say what is wrong.
        connections[using].check_constraints()


def preview(target: Any, key: Any, version: int, *, using: str | None = None) -> dict[str, tuple[Any, Any]]:
    """Return what restoring a version would change: each column's value now and then. Raises `RestoreError`."""
    name, text = history.identify(target, key, using=using)
    publication, using = history.published(name), using or conf.get().DATABASE
    state = state_of(publication, text, version, values={}, using=using)
    then = history.row_of(state) or {}
    _check_columns(publication, then)
    with _refusals(name, text):
        parts = _table(publication, using).parts(publication, state)
        there = sql.run(using, sql.compose("queries/restore_now", **parts))
    if not there:
        _check_unknown(publication, then)
    now = history.row_of(there[0][0]) or {} if there else {}
    return {column: (now.get(column), value) for column, value in then.items() if not there or now[column] != value}


def state_of(publication: Publication, key: str, version: int, *, values: dict[str, Any], using: str) -> str:
    """Return the columns of a state as JSON text, without those that the log does not know. Raises `RestoreError`."""
    query = sql.compose(
        "queries/restore_state",
        model=publication.label,
        key=key,
        version=version,
        hidden=[*publication.masked_columns, *publication.excluded_columns],
        given=json.dumps(values, cls=DjangoJSONEncoder),
    )
    found = sql.run(using, query)
    if not found:
        raise exceptions.RestoreError(f"The log has no version {version} of {publication.label} {key}.")
    ((op, text),) = found
    if text is None:
        how = "had been changed, but its row has since been erased on request" if op == "E" else "was deleted"
        raise exceptions.RestoreError(f"Version {version} is where {publication.label} {key} {how}: name another.")
    return str(text)


def _check_columns(publication: Publication, state: dict[str, Any]) -> None:
    gone = tuple(sorted(state.keys() - {field.column for field in publication.model._meta.local_concrete_fields}))
    if gone:
        raise exceptions.RestoreError(f"{publication.label} no longer has the columns {', '.join(gone)}.", gone)
    texts = tuple(sorted(name for name, value in state.items() if isinstance(value, dict) and JSON_TEXT in value))
    if texts:
        raise exceptions.RestoreError(
            f"{', '.join(texts)} of {publication.label} held what jsonb cannot. Write it by hand: the log has it.",
            texts,
        )


@contextlib.contextmanager
def _refusals(name: str, key: str) -> Iterator[None]:
    """Raise `RestoreError` for whatever PostgreSQL refuses, but that it is away or busy."""
    try:
        yield
    except exceptions.RowsHidden as error:
        raise exceptions.RestoreError(str(error)) from error
    except REFUSED as error:
        raise exceptions.RestoreError(_reason(name, key, error)) from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Table:
    """What the database says of the columns of a table."""

    made: list[str]
    """Those whose values PostgreSQL makes."""
    fixed: list[str]
    """Those that only an insert may give a value."""
    hstores: list[str]

    def parts(self, publication: Publication, state: str) -> dict[str, Any]:
        """Return what each query of a restore is made of."""
        table, keys = psql.Identifier(*filter(None, publication.table)), _names(publication.key_columns)
        return {"table": table, "keys": keys, "state": state, "hstores": self.hstores}


def _table(publication: Publication, using: str) -> _Table:
    """Look at a table. Raises `RowsHidden` where it cannot be read whole."""
    tables.require_whole(publication, using)
    relation = psql.Identifier(*filter(None, publication.table)).as_string()
    ((made, fixed, hstores),) = sql.run(using, sql.compose("queries/restore_columns", relation=relation))
    return _Table(made=made, fixed=fixed, hstores=hstores)


def _write(publication: Publication, key: str, state: str, latest: int | None, using: str) -> None:
    table = _table(publication, using)
    named = table.parts(publication, state)
    there = sql.run(using, sql.compose("queries/restore_lock", **named))
    # A statement of its own: this one sees what was committed while the lock was waited for.
    ((now,),) = sql.run(using, sql.compose("queries/latest", model=publication.label, key=key))
    if latest is not None and now != latest:
        raise exceptions.RestoreError(f"{publication.label} {key} has changed since: look at it again.")
    known = jsontext.loads(state)
    columns = [field.column for field in _writable(publication) if field.column in known.keys() - {*table.made}]
    if not there:
        _check_unknown(publication, known)
        sql.run(using, sql.compose("queries/restore_insert", columns=_names(columns), **named))
    elif columns := [name for name in columns if name not in {*publication.key_columns, *table.fixed}]:
        sql.run(using, sql.compose("queries/restore_update", columns=_names(columns), **named))


def _writable(publication: Publication) -> list[Any]:
    fields = publication.model._meta.local_concrete_fields
    return [field for field in fields if not getattr(field, "generated", False)]


def _check_unknown(publication: Publication, known: dict[str, Any]) -> None:
    """Refuse to bring a row back while there are columns that only `values` can tell; others become null."""
    needed = tuple(f.column for f in _writable(publication) if f.column not in known and not f.null)
    if needed:
        raise exceptions.RestoreError(
            f"The log does not know {', '.join(needed)} of {publication.label}: give them as `values`.", needed
        )


def _names(columns: list[str]) -> psql.Composed:
    return psql.SQL(", ").join(map(psql.Identifier, columns))


def _reason(name: str, key: str, error: Exception) -> str:
    """Say what forbids it, in PostgreSQL's words without the values of the row."""
    diagnosis = getattr(error.__cause__, "diag", None)
    words = getattr(diagnosis, "message_primary", None) or type(error).__name__
    return f"{name} {key} cannot be restored: {words}."
