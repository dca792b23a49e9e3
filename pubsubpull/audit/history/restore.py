"""`restore()`: writes an earlier state of an object back, as an ordinary change."""

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
from pubsubpull.audit.history import results, targets
from pubsubpull.capture import sql, tables
from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pubsubpull.capture.registry import Publication

REFUSED = (DataError, IntegrityError, InternalError, NotSupportedError, ProgrammingError)
"""The errors of PostgreSQL that refuse a row. Other errors, as that of a lost connection, are raised as they are."""
JSON_TEXT = "pubsubpull:json"
"""The only key of an object by which the log stands for a json value that jsonb refuses, with its text."""


def restore(
    target: Any,
    *key_and_version: Any,
    values: dict[str, Any] | None = None,
    keep: Iterable[str] = (),
    latest: int | None = None,
    using: str | None = None,
) -> None:
    """Write back the row that a version made: `restore(obj, version)` or `restore(Order, key, version)`.

    Columns unknown to the log (excluded and masked ones) and the columns of `keep` stay unchanged. A deleted row is
    inserted again: the columns of `keep` then get their last values, and `values` (by column) has values for unknown
    columns, which are necessary if those must not be null. With `latest`, the version of the object's last change,
    nothing is written if the object has changed since, or may have, as capture was off. No signals are sent, since no
    instance is saved.

    Raises `RestoreError` if the version does not exist, has no row, or does not fit the table any more.
    """
    *key, version = key_and_version
    using, keep = using or conf.get().DATABASE, [*keep]
    name, text = targets.identify(target, *key, using=using)
    publication = targets.published(name)
    state = state_of(publication, text, version, values=values or {}, keep=keep, using=using)
    _check_columns(publication, jsontext.loads(state))
    with _refusals(name, text), transaction.atomic(using):
        _write(publication, text, state, keep=keep, latest=latest, using=using)
        # Django's foreign keys are deferred to the end of the transaction. Checked now, the error is a RestoreError.
        connections[using].check_constraints()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preview:
    """The effect that restoring a version would have."""

    publication: Publication
    """The publication of the object's model."""
    then: dict[str, Any]
    """The row of the version, by column, as far as the log knows it. Kept columns have their last values."""
    now: dict[str, Any] | None
    """The present row, by column; None if it is deleted."""
    keep: tuple[str, ...]
    """The columns that keep their present values."""

    @property
    def unknown(self) -> list[Any]:
        """The fields of a deleted row that the log does not know."""
        return [] if self.now is not None else [f for f in _writable(self.publication) if f.column not in self.then]

    def changes(self, values: Iterable[str] = ()) -> dict[str, tuple[Any, Any]]:
        """Return the present and the restored value of each column that would change, except of the columns `values`.

        `values` are the columns that the caller will give values for. Raises `RestoreError` if one is missing there.
        """
        values = [*values]
        if self.now is None:
            _check_unknown(self.publication, {**self.then, **dict.fromkeys(values)})
            return {name: (None, value) for name, value in self.then.items() if name not in values}
        then = {name: value for name, value in self.then.items() if name not in {*values, *self.keep}}
        return {name: (self.now[name], value) for name, value in then.items() if self.now[name] != value}


def preview(target: Any, key: Any, version: int, *, keep: Iterable[str] = (), using: str | None = None) -> Preview:
    """Return the effect of restoring a version, without writing. The arguments and errors are those of `restore`."""
    using, keep = using or conf.get().DATABASE, (*keep,)
    name, text = targets.identify(target, key, using=using)
    publication = targets.published(name)
    state = state_of(publication, text, version, values={}, keep=keep, using=using)
    then = results.row_of(state) or {}
    _check_columns(publication, then)
    with _refusals(name, text):
        parts = _table(publication, using).parts(publication, state)
        rows = sql.run(using, sql.compose("queries/restore/now", **parts))
    now = results.row_of(rows[0][0]) or {} if rows else None
    return Preview(publication=publication, then=then, now=now, keep=keep)


def state_of(
    publication: Publication, key: str, version: int, *, values: dict[str, Any], using: str, keep: Iterable[str] = ()
) -> str:
    """Return the columns of a version that the log knows, as JSON text. Raises `RestoreError` if it has no row."""
    query = sql.compose(
        "queries/restore/state",
        model=publication.label,
        key=key,
        version=version,
        hidden=[*publication.masked_columns, *publication.excluded_columns],
        keep=[*keep],
        given=json.dumps(values, default=_jsonable),
    )
    rows = sql.run(using, query)
    if not rows:
        raise exceptions.RestoreError(f"The log has no version {version} of {publication.label} {key}.")
    ((op, text),) = rows
    if text is None:
        how = "had been changed, but its row has since been erased on request" if op == "E" else "was deleted"
        raise exceptions.RestoreError(
            f"{publication.label} {key} has no row at version {version}, where it {how}: name another version."
        )
    # Still PostgreSQL's text: Python would round a number of many digits.
    return str(text)


def last_version(name: str, key: str, *, using: str) -> int | None:
    """Return the version of the last change that may have left an object as it is; None if the log does not know it.

    It is that of a truncate or an uncaptured of the model if the object has no change of its own since.
    """
    ((version,),) = sql.run(using, sql.compose("queries/history/latest", model=name, key=key))
    return None if version is None else int(version)


def _jsonable(value: Any) -> Any:
    """Return a value in a form that JSON has: as Django's encoder does, else as its text, for PostgreSQL to read."""
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
            f"{', '.join(texts)} of {publication.label} held a json value that jsonb refuses. Write it by hand: the "
            f'log has its text under "{JSON_TEXT}".',
            texts,
        )


@contextlib.contextmanager
def _refusals(name: str, key: str) -> Iterator[None]:
    """Raise `RestoreError` if PostgreSQL refuses the row. Errors of the connection are raised as they are."""
    try:
        yield
    except exceptions.RowsHidden as error:
        raise exceptions.RestoreError(str(error)) from error
    except REFUSED as error:
        raise exceptions.RestoreError(_reason(name, key, error)) from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Table:
    """The columns of a table that a restore treats in a special way."""

    generated: list[str]
    """The generated columns, which PostgreSQL computes."""
    fixed: list[str]
    """The columns that accept a value in an INSERT only (GENERATED ALWAYS AS IDENTITY)."""
    hstores: str
    """The columns that contain hstore, as the JSON text that `pubsubpull_readable` takes."""

    def parts(self, publication: Publication, state: str) -> dict[str, Any]:
        """Return the parts that each query of a restore has in common."""
        table, keys = psql.Identifier(*filter(None, publication.table)), _names(publication.key_columns)
        return {"table": table, "keys": keys, "state": state, "hstores": self.hstores}


def _table(publication: Publication, using: str) -> _Table:
    """Return the special columns of a table. Raises `RowsHidden` if row level security hides rows."""
    relation = psql.Identifier(*filter(None, publication.table)).as_string()
    ((secured, generated, fixed, hstores),) = sql.run(using, sql.compose("queries/restore/columns", relation=relation))
    # Of a hidden row we would not know that it exists, and would try to insert it.
    if secured:
        raise tables.rows_hidden(publication, using)
    return _Table(generated=generated, fixed=fixed, hstores=hstores)


def _write(publication: Publication, key: str, state: str, *, keep: list[str], latest: int | None, using: str) -> None:
    """Insert or update the row, unless the object's last change is another than `latest`."""
    table = _table(publication, using)
    parts = table.parts(publication, state)
    locked = sql.run(using, sql.compose("queries/restore/lock", **parts))
    # A statement of its own: the snapshot of the locking one is older than the commit that its lock waited for.
    if latest is not None and last_version(publication.label, key, using=using) != latest:
        raise exceptions.RestoreError(f"{publication.label} {key} has changed since: look at it again.")
    known = jsontext.loads(state)
    columns = [field.column for field in _writable(publication) if field.column in known.keys() - {*table.generated}]
    if not locked:
        _check_unknown(publication, known)
        sql.run(using, sql.compose("queries/restore/insert", columns=_names(columns), **parts))
    # PostgreSQL refuses to update an identity column. The key is that of the row, so it needs no update.
    elif columns := [name for name in columns if name not in {*publication.key_columns, *table.fixed, *keep}]:
        sql.run(using, sql.compose("queries/restore/update", columns=_names(columns), **parts))


def _writable(publication: Publication) -> list[Any]:
    fields = publication.model._meta.local_concrete_fields
    return [field for field in fields if not getattr(field, "generated", False)]


def _check_unknown(publication: Publication, known: dict[str, Any]) -> None:
    """Raise `RestoreError` if a deleted row needs a value, in a column NOT NULL, that the log does not know."""
    needed = tuple(f.column for f in _writable(publication) if f.column not in known and not f.null)
    if needed:
        raise exceptions.RestoreError(
            f"The log does not know {', '.join(needed)} of {publication.label}: pass their values in `values`.", needed
        )


def _names(columns: list[str]) -> psql.Composed:
    return psql.SQL(", ").join(map(psql.Identifier, columns))


def _reason(name: str, key: str, error: Exception) -> str:
    """Return the reason in PostgreSQL's words. Only its primary message: the detail may have values of the row."""
    diagnosis = getattr(error.__cause__, "diag", None)
    words = getattr(diagnosis, "message_primary", None) or type(error).__name__
    return f"{name} {key} cannot be restored: {words}."
