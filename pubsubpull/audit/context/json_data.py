"""JSON data of contexts: of bounded size, and free of characters that PostgreSQL refuses."""

from __future__ import annotations

import json
from typing import Any

from pubsubpull import exceptions

LONGEST_TEXT = 2000
"""Characters that the log keeps of a path, a user agent and other texts of a request."""

METADATA_LIMIT = 100_000
"""Characters of JSON that the metadata of a context may have. Every transaction of the context sends them."""

METADATA_DEPTH = 32
"""Levels that metadata may be nested."""


def clean(value: Any, limit: int = LONGEST_TEXT) -> Any:
    """Return JSON data without NUL characters and lone surrogates, with texts cut to `limit` characters.

    PostgreSQL refuses both in jsonb; the replacement character U+FFFD or a question mark stands in for them.
    """
    if isinstance(value, str):
        return value[:limit].replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {clean(k): clean(v, limit) for k, v in value.items()}
    if isinstance(value, list):
        return [clean(v, limit) for v in value]
    return value


def as_json(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata as clean JSON data. Raises `ContextError` if it is no JSON, too long or nested too deep."""
    # Checked now, in the application's own line of code: an error at the first change would come from any write.
    try:
        text = json.dumps(metadata, allow_nan=False)
        plain: dict[str, Any] = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise exceptions.ContextError(f"The metadata of a context must be JSON: {error}.") from error
    if len(text) > METADATA_LIMIT:
        raise exceptions.ContextError(
            f"The metadata of a context may have {METADATA_LIMIT} characters as JSON, not {len(text)}."
        )
    if _depth(plain) > METADATA_DEPTH:
        raise exceptions.ContextError(f"The metadata of a context may be nested {METADATA_DEPTH} deep, not deeper.")
    cleaned: dict[str, Any] = clean(plain)
    return cleaned


def _depth(value: Any, limit: int = METADATA_DEPTH) -> int:
    """Return the number of levels of JSON data. Beyond `limit` it stops counting, and the number is too small."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max((_depth(v, limit - 1) for v in inner), default=0) if limit >= 0 else 1
