"""Values of Python on their way into a table: as JSON that PostgreSQL reads by the column's type."""

from __future__ import annotations

from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections, models


class Encoder(DjangoJSONEncoder):
    """Writes what a function gave so that PostgreSQL reads it by the column's type."""

    def default(self, o: Any) -> Any:
        """Write bytes as PostgreSQL does, what JSON holds as it is, and all else as its text."""
        if isinstance(o, bytes | bytearray | memoryview):
            return "\\x" + bytes(o).hex()
        try:
            return super().default(o)
        except TypeError:
            return str(o)


def prepared(field: models.Field[Any, Any], value: Any, using: str) -> Any:
    """Return a value as it goes into JSON for the field's column."""
    if isinstance(field, models.JSONField):
        return value
    adapted = field.get_db_prep_save(value, connections[using])
    return getattr(adapted, "obj", adapted)
