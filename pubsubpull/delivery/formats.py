"""How changes are written into the body of a notification: as a page, or as CloudEvents."""

from __future__ import annotations

import dataclasses
import json
import urllib.parse
from typing import TYPE_CHECKING, Any

from pubsubpull import conf
from pubsubpull.log.feed import Row
from pubsubpull.subscriptions.models import Subscription

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SPECIFICATION = "1.0"
"""The version of CloudEvents: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Which of a model's rows a notification has, where it has rows and no changes.

    `id` is the same for all rows of one run, and sorts after that of an earlier one.
    """

    id: str
    model: str
    first: bool
    """True until the receiver has taken some of the model's rows."""
    last: bool
    """True where no rows of the model follow."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Envelope:
    """What a notification says besides its changes: where the receiver is before and after it, as far as it tells."""

    subscription: str
    history: int
    previous: str | None = None
    cursor: str | None = None
    more: bool | None = None
    snapshot: Snapshot | None = None
    single: bool = False
    """For callbacks that take one change a PUT."""

    def parts(self) -> dict[str, str]:
        """Return what there is to say, as JSON texts by name."""
        said = {"subscription": json.dumps(self.subscription)}
        if self.previous is not None:
            said["previous"] = f'"{self.previous}"'
        if self.cursor is not None:
            said["cursor"] = f'"{self.cursor}"'
        if self.more is not None:
            said["more"] = "true" if self.more else "false"
        return said


def encode(rows: Sequence[Row], envelope: Envelope, form: str) -> tuple[bytes, Mapping[str, str]]:
    """Return the body and the headers that describe it."""
    body, headers = _cloudevents(rows, envelope) if form == Subscription.Format.CLOUDEVENTS else _page(rows, envelope)
    return body, {**headers, **_tracing(rows)}


def traced(row: Row) -> str:
    """Return a change's item; one whose request is of a trace says so before its rows."""
    if row.trace is None:
        return row.item
    start = _start(row.item)
    return f"{row.item[:start]},{json.dumps(_parts(row.trace))[1:-1]}{row.item[start:]}"


def head(item: str) -> dict[str, Any]:
    """Return what an item says of a change before its rows, which are not parsed."""
    return json.loads(f"{item[: _start(item)]}}}")  # type: ignore[no-any-return]


def untraced(version: int, model: str, op: str, item: str) -> Row:
    """Return the change of which `traced` made this item."""
    start = head(item)
    if "traceparent" not in start:
        return Row(version, model, op, item)
    trace = " ".join(start[name] for name in ("traceparent", "tracestate") if name in start)
    return Row(version, model, op, item.replace(f",{json.dumps(_parts(trace))[1:-1]}", "", 1), trace)


def _tracing(rows: Sequence[Row]) -> dict[str, str]:
    """Return the headers of a notification that tells of one request alone, or of several of one span."""
    traces = {row.trace for row in rows}
    trace = traces.pop() if len(traces) == 1 else None
    return {} if trace is None else _parts(trace)


def _parts(trace: str) -> dict[str, str]:
    parent, _, state = trace.partition(" ")
    return {"traceparent": parent, "tracestate": state} if state else {"traceparent": parent}


def _start(item: str) -> int:
    """Return where the rows of a change begin: within a JSON string the quotes would be escaped."""
    return item.index(',"old":')


def _page(rows: Sequence[Row], envelope: Envelope) -> tuple[bytes, Mapping[str, str]]:
    items = ",".join([traced(row) for row in rows])
    parts = envelope.parts()
    if envelope.snapshot is not None:
        parts["snapshot"] = json.dumps(dataclasses.asdict(envelope.snapshot))
    said = ",".join([f'"{name}":{text}' for name, text in parts.items()])
    return f'{{{said},"items":[{items}]}}'.encode(), {"content-type": "application/json"}


def _cloudevents(rows: Sequence[Row], envelope: Envelope) -> tuple[bytes, Mapping[str, str]]:
    """Return structured events. What a page says around its items goes into headers: a batch has no room for it."""
    source = f"urn:pubsubpull:{urllib.parse.quote(conf.get().SERVICE_NAME, safe='')}:{envelope.history}"
    events = [_event(row, source) for row in rows]
    kind = "cloudevents" if envelope.single else "cloudevents-batch"
    return (events[0] if envelope.single else f"[{','.join(events)}]").encode(), {
        "content-type": f"application/{kind}+json; charset=utf-8",
        **{f"pubsubpull-{name}": text.strip('"') for name, text in _headed(envelope)},
    }


def _headed(envelope: Envelope) -> Iterator[tuple[str, str]]:
    """Give what headers say: no text among it has a character that JSON would escape."""
    yield from envelope.parts().items()
    if envelope.snapshot is not None:
        for name, value in dataclasses.asdict(envelope.snapshot).items():
            yield f"snapshot-{name}", json.dumps(value)


def _event(row: Row, source: str) -> str:
    """Return a change as an event. Its rows are passed on as the text they are, numbers of any precision included."""
    item = traced(row)
    start = _start(item)
    change: dict[str, Any] = json.loads(f"{item[:start]}}}")
    attributes = {
        "specversion": SPECIFICATION,
        "id": str(row.version),  # many rows may share the version that their items have
        "source": source,
        "type": f"{change['model']}.{change['op']}",
        "subject": change["key"],
        "time": change["at"],
        "datacontenttype": "application/json",
        "partitionkey": change["key"] and f"{change['model']}:{change['key']}",
        "sequence": f"{change['version']:020}",
        "transaction": change["transaction"],
        "request": change["request"],
        "traceparent": change.get("traceparent"),
        "tracestate": change.get("tracestate"),
    }
    present = {name: value for name, value in attributes.items() if value}
    return f'{json.dumps(present)[:-1]},"data":{{{item[start + 1 :]}}}'
