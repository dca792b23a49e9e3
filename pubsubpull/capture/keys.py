"""Keys as text: how the log, the API and people name a row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pubsubpull import exceptions

if TYPE_CHECKING:
    from pubsubpull.capture.registry import Publication


def text(value: Any) -> str:
    """Return a primary key's value as the log has it; a text is taken as it is, several columns as a JSON array."""
    if isinstance(value, (tuple, list)):
        plain = [v if isinstance(v, (str, int, float, bool)) or v is None else str(v) for v in value]
        return json.dumps(plain, ensure_ascii=False)
    return str(value)


def parts(publication: Publication, key: str) -> list[str]:
    """Return the text of each of a key's columns; a composite key is a JSON array. Raises `InvalidKey`."""
    columns = publication.key_columns
    if "\0" in key:
        raise exceptions.InvalidKey("A key holds no NUL character.")
    if len(columns) == 1:
        return [key]
    try:
        values = json.loads(key, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise exceptions.InvalidKey(f"The key is a JSON array of {', '.join(columns)}.") from error
    if not isinstance(values, list) or len(values) != len(columns):
        raise exceptions.InvalidKey(f"The key is a JSON array of {', '.join(columns)}.")
    return [value if isinstance(value, str) else json.dumps(value) for value in values]
