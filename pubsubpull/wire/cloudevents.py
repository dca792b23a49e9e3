"""Changes as CloudEvents in their JSON format, one or a batch.

The specification: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

from __future__ import annotations

import json
import urllib.parse
from typing import TYPE_CHECKING, Any

from pubsubpull.wire import items, ops

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pubsubpull.wire.items import Row

SPEC_VERSION = "1.0"


def source(service: str, history: int) -> str:
    """Return the `source` of the events of a service's log."""
    return f"urn:pubsubpull:{urllib.parse.quote(service, safe='')}:{history}"


def content_type(*, single: bool) -> str:
    """Return the media type of one event, or of a batch."""
    return f"application/cloudevents{'' if single else '-batch'}+json; charset=utf-8"


def batch(rows: Iterable[Row], source: str) -> str:
    """Return changes as a batch of events."""
    return f"[{','.join([event(row, source) for row in rows])}]"


def event(row: Row, source: str) -> str:
    """Return a change as an event. The event's data are the change's rows or, of a domain event, its own data."""
    change, rows = items.split(items.traced(row))
    domain = row.op == ops.EVENT.letter
    attributes: dict[str, Any] = {
        "specversion": SPEC_VERSION,
        # Not the item's version: the rows of a backfill share one, and an event's id must be its own.
        "id": str(row.version),
        "source": source,
        "type": change["model"] if domain else f"{change['model']}.{change['op']}",
        "subject": change["key"],
        "time": change["at"],
        "datacontenttype": "application/json",
        "partitionkey": change["key"] and f"{change['model']}:{change['key']}",
        # The specification compares sequences as texts: with leading zeros that is the order of the numbers.
        "sequence": f"{change['version']:020}",
        "transaction": change["transaction"],
        "request": change["request"],
        "traceparent": change.get("traceparent"),
        "tracestate": change.get("tracestate"),
    }
    # The specification allows no empty text as an attribute: an attribute without a value is left out.
    present = {name: value for name, value in attributes.items() if value}
    data = items.event_data(row.item) if domain else rows
    return f'{json.dumps(present)[:-1]},"data":{data}}}'
