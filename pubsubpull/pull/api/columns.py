"""A published model's columns as JSON Schema: the form of a row's data on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pubsubpull.capture.registry import Publication

JSON_TYPES: dict[str, dict[str, Any]] = {
    "BooleanField": {"type": "boolean"},
    "FloatField": {"type": ["number", "string"], "description": "NaN and the infinities are text"},
    "DecimalField": {"type": ["number", "string"], "description": "NaN and the infinities are text"},
    "DateTimeField": {"type": "string", "format": "date-time"},
    "DateField": {"type": "string", "format": "date"},
    "TimeField": {"type": "string", "format": "time"},
    "UUIDField": {"type": "string", "format": "uuid"},
    "BinaryField": {"type": "string", "description": "hexadecimal, after \\x"},
    "DurationField": {"type": "string", "description": "an interval as PostgreSQL writes it"},
    "JSONField": {},
    "ArrayField": {"type": "array"},
}


def schema(publication: Publication) -> dict[str, Any]:
    """Return the JSON Schema of a row: by column name, excluded columns left out, masked ones as text."""
    excluded = set(publication.excluded_columns)
    fields = publication.model._meta.local_concrete_fields
    # Excluded columns are not even named: for readers, they do not exist.
    properties = {field.column: _column(field, publication) for field in fields if field.column not in excluded}
    return {"type": "object", "properties": properties}


def _column(field: Any, publication: Publication) -> dict[str, Any]:
    if field.column in publication.masked_columns:
        return {"const": "***"}
    target = field
    # In a loop: a foreign key may refer to a key that is a foreign key itself.
    while target.is_relation:
        target = target.target_field
    kind = target.get_internal_type()
    schema = dict(
        JSON_TYPES.get(kind, {"type": "integer"} if "Integer" in kind or "Auto" in kind else {"type": "string"})
    )
    if field.null and "type" in schema:
        types = schema["type"]
        schema["type"] = [*(types if isinstance(types, list) else [types]), "null"]
    return schema
