"""A change's item: its JSON text, as the log's queries write it (`sql/parts/item.sql`), written and read.

The rows of a change are passed on as PostgreSQL's own text, so that numbers keep each digit: they are never parsed.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, NamedTuple

from pubsubpull.wire import ops

_ROWS = ',"old":'
"""The beginning of a change's rows. No text before it contains this, since quotes within texts are escaped."""
_NO_OLD = f'{_ROWS}null,"new":'
_AT = '"at":"'
ITEM_OP_TEXTS = {letter: f',"op":"{name}","at":' for letter, name in ops.WIRE.items()}
"""An item's text between its key and its time, by the letter of the operation. SQL joins few texts faster than many."""


class Row(NamedTuple):
    """A change as JSON text, with the values that decide which subscriptions get it."""

    version: int
    """The change's id in the log; for a row of a backfill, a number of its own."""
    model: str
    """The label of the model."""
    op: str
    """The letter of the operation."""
    item: str
    """The JSON text."""
    trace: str | None = None
    """The `traceparent` of the change's request and, after a space, the `tracestate`."""


def head(item: str) -> dict[str, Any]:
    """Return the members of an item before its rows."""
    # Only these are parsed: the rows may be megabytes, and their numbers must keep each digit.
    return json.loads(f"{item[: _rows(item)]}}}")  # type: ignore[no-any-return]


def key(item: str) -> str | None:
    """Return the key of a change; None for a change of a whole table."""
    return head(item)["key"]  # type: ignore[no-any-return]


def version(item: str) -> int:
    """Return the version of an item. The rows of a backfill may share one."""
    return int(head(item)["version"])


def transaction(item: str) -> int:
    """Return the id of the transaction that wrote a change."""
    return int(head(item)["transaction"])


def written_at(item: str) -> float | None:
    """Return the time of a change in unix seconds; None if the text has no time."""
    # By its position, without parsing the head: it is needed for each change that is delivered.
    begin = item.find(_AT) + len(_AT)
    if begin < len(_AT):
        return None
    return dt.datetime.fromisoformat(item[begin : item.index('"', begin)]).timestamp()


def split(item: str) -> tuple[dict[str, Any], str]:
    """Return the members of an item before its rows, and a JSON object with the rows alone, as text."""
    begin = _rows(item)
    return json.loads(f"{item[:begin]}}}"), f"{{{item[begin + 1 :]}"


def event_data(item: str) -> str:
    """Return the data of a domain event's item, as JSON text."""
    # An event has no row before: its data begin at a fixed distance, and end before the item's last brace.
    begin = _rows(item)
    return item[begin + len(_NO_OLD) : -1]


def snapshot(model: str, row: str | None, *, key: str | None, version: int, at: str) -> str:
    """Return the item of a row of a backfill. `row` is JSON text.

    Without a key and a row, the item tells the receiver that the model has no rows.
    """
    members = {"version": version, "transaction": None, "model": model, "key": key, "op": ops.SNAPSHOT.name, "at": at}
    # Without spaces, as the log's queries write an item: `written_at` and `_rows` find their texts in both.
    begin = json.dumps({**members, "request": None}, ensure_ascii=False, separators=(",", ":"))
    return f'{begin[:-1]}{_ROWS}null,"new":{"null" if row is None else row}}}'


def instance(key: str, row: str, *, version: int) -> str:
    """Return the item of a row in a page of instances. `row` is JSON text."""
    return f'{{"key":{json.dumps(key)},"version":{version},"data":{row}}}'


def traced(row: Row) -> str:
    """Return a change's item. If its request belongs to a trace, the item names the trace before the rows."""
    if row.trace is None:
        return row.item
    begin = _rows(row.item)
    return f"{row.item[:begin]}{_traced(row.trace)}{row.item[begin:]}"


def untraced(version: int, model: str, op: str, item: str) -> Row:
    """Return the change whose item `traced` has returned: the inverse of `traced`."""
    members = head(item)
    if "traceparent" not in members:
        return Row(version, model, op, item)
    trace = " ".join(members[name] for name in ("traceparent", "tracestate") if name in members)
    # Once only, as the row's data may contain the same text.
    return Row(version, model, op, item.replace(_traced(trace), "", 1), trace)


def trace_headers(trace: str) -> dict[str, str]:
    """Return the parts of a trace by their names in the W3C's Trace Context."""
    parent, _, state = trace.partition(" ")
    return {"traceparent": parent, "tracestate": state} if state else {"traceparent": parent}


def _traced(trace: str) -> str:
    return f",{json.dumps(trace_headers(trace))[1:-1]}"


def _rows(item: str) -> int:
    return item.index(_ROWS)
