"""The lines of a dump, written and read: a head that names the model, a row a line, and the number of rows."""

from __future__ import annotations

import json
from typing import Any

from pubsubpull import exceptions
from pubsubpull.wire import jsontext

DUMP_FORMAT = 1
_DUMP_ROW = '{"key":'
_DUMP_END = '{"end":'


def write_head(*, service: str, model: str, cursor: str, at: str) -> str:
    """Return the first line. The cursor was taken before the first row was read, at the time `at`."""
    return json.dumps({"pubsubpull": DUMP_FORMAT, "service": service, "model": model, "cursor": cursor, "at": at})


def read_head(line: str, *, model: str | None = None) -> dict[str, Any]:
    """Return the members of the first line. Raises `DumpError` if it is no such line, or of another model."""
    try:
        head = json.loads(line)
    # A file is input from outside: deeply nested JSON is as wrong a first line as none.
    except (ValueError, RecursionError):
        head = None
    if not isinstance(head, dict) or not {"pubsubpull", "service", "model", "cursor"} <= set(head):
        raise exceptions.DumpError("This is no dump of pubsubpull: its first line is not that of a dump.")
    if head["pubsubpull"] != DUMP_FORMAT:
        raise exceptions.DumpError(f"This dump has format {head['pubsubpull']!r}; this version reads {DUMP_FORMAT}.")
    if model is not None and head["model"] != model:
        raise exceptions.DumpError(f"This dump is of {head['model']}, not of {model}.")
    return head


def write_rows(items: str) -> str:
    """Return the items of a page of rows, one a line."""
    # PostgreSQL writes a space after each comma and colon of row data, so this is between two items only.
    return items.replace("}," + _DUMP_ROW, "}\n" + _DUMP_ROW)


def is_row(line: str) -> bool:
    """True if a line is that of a row."""
    return line.startswith(_DUMP_ROW)


def key(line: str) -> str:
    """Return the key of a row's line."""
    return str(jsontext.loads(line)["key"])


def write_end(rows: int) -> str:
    """Return the last line. A file without this line is incomplete."""
    return json.dumps({"end": True, "rows": rows})


def read_end(line: str) -> int | None:
    """Return the number of rows that the last line names; None for any other line."""
    return int(json.loads(line)["rows"]) if line.startswith(_DUMP_END) else None
