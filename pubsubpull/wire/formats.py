"""The body of a notification, and the headers that describe it: a page of changes, or CloudEvents."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from pubsubpull import conf
from pubsubpull.wire import cloudevents, items, pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pubsubpull.wire.items import Row

PAGE_FORMAT, CLOUDEVENTS = "page", "cloudevents"
FORMATS = (PAGE_FORMAT, CLOUDEVENTS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The position of a notification in a backfill: it has rows of a model, and no changes."""

    id: str
    """The id of the backfill. It sorts after the ids of earlier backfills."""
    model: str
    """The label of the model."""
    first: bool
    """True until the receiver has accepted rows of the model."""
    last: bool
    """True if no rows of the model follow."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Envelope:
    """The members of a notification besides its changes."""

    subscription: str
    """The name of the subscription."""
    history: int
    """The token of the history of the log."""
    previous: str | None = None
    """The cursor before the changes."""
    cursor: str | None = None
    """The cursor after the changes."""
    more: bool | None = None
    """True if the log has further changes for the subscription."""
    snapshot: Snapshot | None = None
    """The position in a backfill; None for a notification with changes."""
    single: bool = False
    """True for callbacks that get one change a PUT."""

    def parts(self) -> dict[str, str]:
        """Return the members as JSON texts by name, in the order of the body."""
        members = {"subscription": json.dumps(self.subscription)}
        # A cursor is base64url, which has no character that JSON escapes.
        if self.previous is not None:
            members["previous"] = f'"{self.previous}"'
        if self.cursor is not None:
            members["cursor"] = f'"{self.cursor}"'
        if self.more is not None:
            members["more"] = "true" if self.more else "false"
        return members


def encode(rows: Sequence[Row], envelope: Envelope, form: str) -> tuple[bytes, Mapping[str, str]]:
    """Return the body of a notification in the format `form`, and the headers that describe the body."""
    body, headers = _cloudevents(rows, envelope) if form == CLOUDEVENTS else _page(rows, envelope)
    return body, {**headers, **_tracing(rows)}


def _tracing(rows: Sequence[Row]) -> dict[str, str]:
    """Return the trace headers of a notification whose changes all belong to one span; else none."""
    # A header names one trace. Changes of several requests carry theirs in their items.
    traces = {row.trace for row in rows}
    trace = traces.pop() if len(traces) == 1 else None
    return {} if trace is None else items.trace_headers(trace)


def _page(rows: Sequence[Row], envelope: Envelope) -> tuple[bytes, Mapping[str, str]]:
    parts = envelope.parts()
    if envelope.snapshot is not None:
        parts["snapshot"] = json.dumps(dataclasses.asdict(envelope.snapshot))
    return pages.write_pushed(map(items.traced, rows), parts), {"content-type": "application/json"}


def _cloudevents(rows: Sequence[Row], envelope: Envelope) -> tuple[bytes, Mapping[str, str]]:
    """Return the events in structured mode, and their headers."""
    # The members of a page go into headers, since the format of a batch has no room for them.
    source = cloudevents.source(conf.get().SERVICE_NAME, envelope.history)
    text = cloudevents.event(rows[0], source) if envelope.single else cloudevents.batch(rows, source)
    return text.encode(), {
        "content-type": cloudevents.content_type(single=envelope.single),
        **{f"pubsubpull-{name}": text.strip('"') for name, text in _members(envelope)},
    }


def _members(envelope: Envelope) -> Iterator[tuple[str, str]]:
    """Yield the members as JSON texts by name. None has a character that JSON escapes: names and labels are checked."""
    yield from envelope.parts().items()
    if envelope.snapshot is not None:
        for name, value in dataclasses.asdict(envelope.snapshot).items():
            yield f"snapshot-{name}", json.dumps(value)
