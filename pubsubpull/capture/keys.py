"""Primary keys as text, the form in which the log and the API name a row."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import DataError, NotSupportedError, connections, models
from psycopg import sql as psql

from pubsubpull import exceptions
from pubsubpull.capture import sql

if TYPE_CHECKING:
    from pubsubpull.capture.registry import Publication


_INTEGERS = {models.IntegerField, models.BigIntegerField, models.SmallIntegerField, models.PositiveIntegerField}
_SERIALS = {models.AutoField, models.BigAutoField, models.SmallAutoField}
_TEXTS = {models.CharField, models.TextField, models.SlugField, models.EmailField, models.URLField, models.UUIDField}
PLAIN = {*_INTEGERS, *_SERIALS, *_TEXTS, models.PositiveBigIntegerField, models.DateField}
"""The field classes whose values have the same text in Python and in PostgreSQL."""


def text(value: Any) -> str:
    """Return the text of a primary key's value; a tuple or list of several columns as a JSON array.

    For fields outside of `PLAIN` the log may have another text: `as_logged` asks PostgreSQL.
    """
    if isinstance(value, (tuple, list)):
        plain = [v if isinstance(v, (str, int, float, bool)) or v is None else str(v) for v in value]
        return json.dumps(plain, ensure_ascii=False)
    return str(value)


def as_logged(publication: Publication, value: Any, *, using: str) -> str:
    """Return the text that the log has for a primary key's value. PostgreSQL converts types outside of `PLAIN`.

    `value` is a tuple or list for a composite key, or its JSON text. Raises `InvalidKey` if a value does not fit the
    type of its column.
    """
    fields = [_target(publication, column) for column in publication.key_columns]
    values = value if isinstance(value, tuple | list) else [value]
    # Another number of values than columns: it is the text of a composite key. `parts` judges it when it is used.
    if len(values) != len(fields) or all(type(field) in PLAIN for field in fields):
        return text(value)
    connection = connections[using]
    connection.ensure_connection()
    parts = [
        sql.compose(
            "queries/keys/as_logged",
            value=_prepared(field, part, connection),
            type=psql.SQL(field.cast_db_type(connection)),
        )
        for field, part in zip(fields, values, strict=True)
    ]
    name = "queries/keys/text" if len(parts) == 1 else "queries/keys/composite_text"
    part = {"value": parts[0]} if len(parts) == 1 else {"values": psql.SQL(", ").join(parts)}
    try:
        ((key,),) = sql.run(using, sql.compose(name, **part))
    except (DataError, NotSupportedError) as error:
        raise exceptions.InvalidKey(f"{value!r} is no key of {publication.label}.") from error
    return str(key)


def _target(publication: Publication, column: str) -> Any:
    """Return the field of a key column; for a foreign key, the field at the end of the chain of references."""
    field: Any = next(f for f in publication.model._meta.local_concrete_fields if f.column == column)
    while field.remote_field is not None:
        field = field.target_field
    return field


def _prepared(field: Any, value: Any, connection: Any) -> psql.Composable:
    """Return a value as Django sends it to the database; unchanged if Django does not accept it."""
    if isinstance(value, bytes | memoryview):
        return psql.Literal(bytes(value))
    # Not an error yet: PostgreSQL accepts more texts of some types than Django does, and judges the others itself.
    with contextlib.suppress(ValidationError, ValueError, TypeError):
        value = (
            value
            if isinstance(value, str) and not hasattr(field, "from_db_value")
            else field.get_db_prep_value(value, connection)
        )
    return psql.Literal(value)


def parts(publication: Publication, key: str) -> list[str]:
    """Return the text of each column of a key. A composite key is a JSON array. Raises `InvalidKey` if it is none."""
    columns = publication.key_columns
    # Keys come from addresses, too, and PostgreSQL refuses NUL in a text: the answer would be a 500.
    if "\0" in key:
        raise exceptions.InvalidKey("A key must not contain the NUL character.")
    if len(columns) == 1:
        return [key]
    try:
        # Numbers stay texts: a float would lose digits of a numeric key.
        values = json.loads(key, parse_int=str, parse_float=str)
    # RecursionError: a client may send a deeply nested array.
    except (ValueError, RecursionError) as error:
        raise exceptions.InvalidKey(f"The key is a JSON array of {', '.join(columns)}.") from error
    if not isinstance(values, list) or len(values) != len(columns):
        raise exceptions.InvalidKey(f"The key is a JSON array of {', '.join(columns)}.")
    return [value if isinstance(value, str) else json.dumps(value) for value in values]
