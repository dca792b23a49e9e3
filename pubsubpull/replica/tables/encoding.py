"""Encode Python values as JSON that PostgreSQL reads by the column's type."""

from __future__ import annotations

from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections, models


class Encoder(DjangoJSONEncoder):
    """Writes the result of a function so that PostgreSQL reads it by the column's type."""

    def default(self, o: Any) -> Any:
        """Write bytes in PostgreSQL's hex form, and values that JSON does not know as text."""
        if isinstance(o, bytes | bytearray | memoryview):
            return "\\x" + bytes(o).hex()
        try:
            return super().default(o)
        except TypeError:
            return str(o)  # PostgreSQL parses the text by the column's type, or refuses it.


def prepared(field: models.Field[Any, Any], value: Any, using: str) -> Any:
    """Return the value, prepared by the field, for `Encoder`."""
    if isinstance(field, models.JSONField):
        return value
    adapted = field.get_db_prep_save(value, connections[using])
    return getattr(adapted, "obj", adapted)
