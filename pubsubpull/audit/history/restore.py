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
from pubsubpull.audit.history import history
from pubsubpull.capture import sql, tables
from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pubsubpull.capture.registry import Publication

REFUSED = (DataError, IntegrityError, InternalError, NotSupportedError, ProgrammingError)
JSON_TEXT = "pubsubpull:json"
"""The one key of an object that has the text of what jsonb cannot hold."""


def restore(
    target: Any,
    *given: Any,
    values: dict[str, Any] | None = None,
    keep: Iterable[str] = (),
    latest: int | None = None,
    using: str | None = None,
) -> None:
    """Write back the state that a version made: `restore(obj, version)` or `restore(Order, key, version)`.

    The columns that the log does not know, excluded and masked ones, stay as they are; a deleted row is brought back,
    with `values` (by column) for those of them that may not be null. The columns of `keep` stay as they are, too; those
    of a deleted row become what they were last. With `latest`, a version, nothing is written if the object has changed
    since. Signals are not sent, since no instance is saved. Raises `RestoreError`.
    """
    *key, version = given
    using, keep = using or conf.get().DATABASE, [*keep]
    name, text = history.identify(target, *key, using=using)
    publication = history.published(name)
    state = state_of(publication, text, version, values=values or {}, keep=keep, using=using)
    _check_columns(publication, jsontext.loads(state))
    with _refusals(name, text), transaction.atomic(using):
        _write(publication, text, state, keep=keep, latest=latest, using=using)
        # Foreign keys of Django are checked at the end of the transaction: here is where to say what is wrong.
        connections[using].check_constraints()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preview:
    """What restoring a version would do."""

    publication: Publication
    then: dict[str, Any]
    """The columns that the log knows of the version; those that are kept are as they were last."""
    now: dict[str, Any] | None
    """The row as it is, None where it is gone."""
    keep: tuple[str, ...]

    @property
    def unknown(self) -> list[Any]:
        """The fields of a row that is gone which the log does not know."""
        return [] if self.now is not None else [f for f in _writable(self.publication) if f.column not in self.then]

    def changes(self, given: Iterable[str] = ()) -> dict[str, tuple[Any, Any]]:
        """Return each column's value now and then, but of the columns that are `given`. Raises `RestoreError`."""
        given = [*given]
        if self.now is None:
            _check_unknown(self.publication, {**self.then, **dict.fromkeys(given)})
            return {name: (None, value) for name, value in self.then.items() if name not in given}
        then = {name: value for name, value in self.then.items() if name not in {*given, *self.keep}}
        return {name: (self.now[name], value) for name, value in then.items() if self.now[name] != value}


def preview(target: Any, key: Any, version: int, *, keep: Iterable[str] = (), using: str | None = None) -> Preview:
    """Return what restoring a version would do. Raises `RestoreError`."""
    using, keep = using or conf.get().DATABASE, (*keep,)
    name, text = history.identify(target, key, using=using)
    publication = history.published(name)
    state = state_of(publication, text, version, values={}, keep=keep, using=using)
    then = history.row_of(state) or {}
    _check_columns(publication, then)
    with _refusals(name, text):
        parts = _table(publication, using).parts(publication, state)
        there = sql.run(using, sql.compose("queries/restore/now", **parts))
    now = history.row_of(there[0][0]) or {} if there else None
    return Preview(publication=publication, then=then, now=now, keep=keep)


def state_of(
    publication: Publication, key: str, version: int, *, values: dict[str, Any], using: str, keep: Iterable[str] = ()
) -> str:
    """Return the columns of a state as JSON text, without those that the log does not know. Raises `RestoreError`."""
    query = sql.compose(
        "queries/restore/state",
        model=publication.label,
        key=key,
        version=version,
        hidden=[*publication.masked_columns, *publication.excluded_columns],
        keep=[*keep],
        given=json.dumps(values, default=_jsonable),
    )
    found = sql.run(using, query)
    if not found:
        raise exceptions.RestoreError(f"The log has no version {version} of {publication.label} {key}.")
    ((op, text),) = found
    if text is None:
        how = "had been changed, but its row has since been erased on request" if op == "E" else "was deleted"
        raise exceptions.RestoreError(f"Version {version} is where {publication.label} {key} {how}: name another.")
    return str(text)


def _jsonable(value: Any) -> Any:
    """Return a value of a column as JSON has it, or as the text that PostgreSQL reads."""
    try:
        return DjangoJSONEncoder().default(value)
    except TypeError:
        return str(value)


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
    hstores: str
    """Those that hold hstore, as JSON text, which `pubsubpull_readable` takes."""

    def parts(self, publication: Publication, state: str) -> dict[str, Any]:
        """Return what each query of a restore is made of."""
        table, keys = psql.Identifier(*filter(None, publication.table)), _names(publication.key_columns)
        return {"table": table, "keys": keys, "state": state, "hstores": self.hstores}


def _table(publication: Publication, using: str) -> _Table:
    """Look at a table. Raises `RowsHidden` where it cannot be read whole."""
    relation = psql.Identifier(*filter(None, publication.table)).as_string()
    ((secured, made, fixed, hstores),) = sql.run(using, sql.compose("queries/restore/columns", relation=relation))
    if secured:
        raise tables.rows_hidden(publication, using)
    return _Table(made=made, fixed=fixed, hstores=hstores)


def _write(publication: Publication, key: str, state: str, *, keep: list[str], latest: int | None, using: str) -> None:
    table = _table(publication, using)
    named = table.parts(publication, state)
    there = sql.run(using, sql.compose("queries/restore/lock", **named))
    # A statement of its own: this one sees what was committed while the lock was waited for.
    ((now,),) = sql.run(using, sql.compose("queries/history/latest", model=publication.label, key=key))
    if latest is not None and now != latest:
        raise exceptions.RestoreError(f"{publication.label} {key} has changed since: look at it again.")
    known = jsontext.loads(state)
    columns = [field.column for field in _writable(publication) if field.column in known.keys() - {*table.made}]
    if not there:
        _check_unknown(publication, known)
        sql.run(using, sql.compose("queries/restore/insert", columns=_names(columns), **named))
    elif columns := [name for name in columns if name not in {*publication.key_columns, *table.fixed, *keep}]:
        sql.run(using, sql.compose("queries/restore/update", columns=_names(columns), **named))


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
