"""A change's item: its JSON text, as the log's queries write it (`sql/parts/item.sql`), written and read.

The rows of a change are passed on as PostgreSQL's own text, so that numbers keep each digit: they are never parsed.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, NamedTuple

from pubsubpull.wire import ops

_ROWS = ',"old":'
"""The begin of a change's rows. No text before it can look so, since a backslash precedes each quote in a text."""
_NO_OLD = f'{_ROWS}null,"new":'
_AT = '"at":"'
OP_TEXTS = {letter: f',"op":"{name}","at":' for letter, name in ops.WIRE.items()}
"""An item's text between its key and its time, by the letter of the operation: SQL joins as few texts as can be."""


class Row(NamedTuple):
    """A change, with what decides which subscriptions get it."""

    version: int
    """Its id in the log; for a row that is sent before the changes, a number of its own."""
    model: str
    op: str
    """Its letter, as `ops` has it."""
    item: str
    """Its JSON text."""
    trace: str | None = None
    """The `traceparent` of its request and, after a space, the `tracestate`."""


def head(item: str) -> dict[str, Any]:
    """Return what an item says of a change before its rows."""
    return json.loads(f"{item[: _rows(item)]}}}")  # type: ignore[no-any-return]


def key(item: str) -> str | None:
    """Return the key of a change; None for a change of a whole table."""
    return head(item)["key"]  # type: ignore[no-any-return]


def version(item: str) -> int:
    """Return the version that an item has: rows that are sent before the changes may share one."""
    return int(head(item)["version"])


def transaction(item: str) -> int:
    """Return the id of the transaction that wrote a change."""
    return int(head(item)["transaction"])


def written_at(item: str) -> float | None:
    """Return when a change was written, in unix seconds; None where the text does not say."""
    begin = item.find(_AT) + len(_AT)
    if begin < len(_AT):
        return None
    return dt.datetime.fromisoformat(item[begin : item.index('"', begin)]).timestamp()


def split(item: str) -> tuple[dict[str, Any], str]:
    """Return what an item says of a change, and an object's JSON text with its rows alone."""
    begin = _rows(item)
    return json.loads(f"{item[:begin]}}}"), f"{{{item[begin + 1 :]}"


def event_data(item: str) -> str:
    """Return the JSON text of an event's data from its item: an event has no row before."""
    begin = _rows(item)
    return item[begin + len(_NO_OLD) : -1]


def snapshot(model: str, row: str | None, *, key: str | None, version: int, at: str) -> str:
    """Return the item of a row, given as JSON text, that is sent before the changes.

    Without a key and a row it says that the model has no rows.
    """
    said = {"version": version, "transaction": None, "model": model, "key": key, "op": ops.SNAPSHOT.name, "at": at}
    begin = json.dumps({**said, "request": None}, ensure_ascii=False, separators=(",", ":"))
    return f'{begin[:-1]}{_ROWS}null,"new":{"null" if row is None else row}}}'


def instance(key: str, row: str, *, version: int) -> str:
    """Return the item of a row, given as JSON text, in a page of instances."""
    return f'{{"key":{json.dumps(key)},"version":{version},"data":{row}}}'


def traced(row: Row) -> str:
    """Return a change's item. A change whose request belongs to a trace names it before its rows."""
    if row.trace is None:
        return row.item
    begin = _rows(row.item)
    return f"{row.item[:begin]}{_traced(row.trace)}{row.item[begin:]}"


def untraced(version: int, model: str, op: str, item: str) -> Row:
    """Return the change of which `traced` made this item."""
    said = head(item)
    if "traceparent" not in said:
        return Row(version, model, op, item)
    trace = " ".join(said[name] for name in ("traceparent", "tracestate") if name in said)
    return Row(version, model, op, item.replace(_traced(trace), "", 1), trace)


def trace_headers(trace: str) -> dict[str, str]:
    """Return the parts of a trace by the names that the W3C's Trace Context gives them."""
    parent, _, state = trace.partition(" ")
    return {"traceparent": parent, "tracestate": state} if state else {"traceparent": parent}


def _traced(trace: str) -> str:
    return f",{json.dumps(trace_headers(trace))[1:-1]}"


def _rows(item: str) -> int:
    return item.index(_ROWS)
