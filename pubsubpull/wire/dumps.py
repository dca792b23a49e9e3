"""The lines of a dump, written and read: JSON that names the model, then a row a line, then the number of rows."""

from __future__ import annotations

import json
from typing import Any

from pubsubpull import exceptions
from pubsubpull.wire import jsontext

DUMP_FORMAT = 1
_ROW = '{"key":'
_END = '{"end":'


def write_head(*, service: str, model: str, cursor: str, at: str) -> str:
    """Return the first line. The cursor was taken before the first row, at the time `at`."""
    return json.dumps({"pubsubpull": DUMP_FORMAT, "service": service, "model": model, "cursor": cursor, "at": at})


def read_head(line: str, *, model: str | None = None) -> dict[str, Any]:
    """Read the first line. Raises `DumpError` where it is none, or of another model."""
    try:
        read = json.loads(line)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict) or not {"pubsubpull", "service", "model", "cursor"} <= set(read):
        raise exceptions.DumpError("This is no dump of pubsubpull: its first line does not say so.")
    if read["pubsubpull"] != DUMP_FORMAT:
        raise exceptions.DumpError(f"This dump is of format {read['pubsubpull']!r}; known is {DUMP_FORMAT}.")
    if model is not None and read["model"] != model:
        raise exceptions.DumpError(f"This dump is of {read['model']}, not of {model}.")
    return read


def write_rows(items: str) -> str:
    """Return the items of a page of rows, each in a line of its own."""
    # PostgreSQL writes a space after each comma and colon of row data, so this is between two items only.
    return items.replace("}," + _ROW, "}\n" + _ROW)


def is_row(line: str) -> bool:
    """True if a line has a row."""
    return line.startswith(_ROW)


def key(line: str) -> str:
    """Return the key of the row of a line."""
    return str(jsontext.loads(line)["key"])


def write_end(rows: int) -> str:
    """Return the last line. A file without it is known to be cut off."""
    return json.dumps({"end": True, "rows": rows})


def read_end(line: str) -> int | None:
    """Return the number of rows that the last line names; None where the line is not the last."""
    return int(json.loads(line)["rows"]) if line.startswith(_END) else None
