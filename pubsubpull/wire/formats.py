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

PAGE, CLOUDEVENTS = "page", "cloudevents"
FORMATS = (PAGE, CLOUDEVENTS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Which of a model's rows a notification has, where it has rows and no changes."""

    id: str
    """The same for all rows of one run. It sorts after that of an earlier run."""
    model: str
    first: bool
    """True until the receiver has taken some of the model's rows."""
    last: bool
    """True where no rows of the model follow."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Envelope:
    """What a notification says besides its changes."""

    subscription: str
    """The name of the subscription."""
    history: int
    """The history of the log that the changes are of."""
    previous: str | None = None
    """The cursor before the changes."""
    cursor: str | None = None
    """The cursor after them."""
    more: bool | None = None
    """True where the log has further changes for the subscription."""
    snapshot: Snapshot | None = None
    single: bool = False
    """True for callbacks that take one change a PUT."""

    def parts(self) -> dict[str, str]:
        """Return what is said, as JSON texts by name."""
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
    body, headers = _cloudevents(rows, envelope) if form == CLOUDEVENTS else _page(rows, envelope)
    return body, {**headers, **_tracing(rows)}


def _tracing(rows: Sequence[Row]) -> dict[str, str]:
    """Return the headers of a notification with changes of one request alone, or of several of one span."""
    traces = {row.trace for row in rows}
    trace = traces.pop() if len(traces) == 1 else None
    return {} if trace is None else items.trace_headers(trace)


def _page(rows: Sequence[Row], envelope: Envelope) -> tuple[bytes, Mapping[str, str]]:
    parts = envelope.parts()
    if envelope.snapshot is not None:
        parts["snapshot"] = json.dumps(dataclasses.asdict(envelope.snapshot))
    return pages.write_pushed(map(items.traced, rows), parts), {"content-type": "application/json"}


def _cloudevents(rows: Sequence[Row], envelope: Envelope) -> tuple[bytes, Mapping[str, str]]:
    """Return structured events. What a page says around its items goes into headers: a batch has no room for it."""
    source = cloudevents.source(conf.get().SERVICE_NAME, envelope.history)
    text = cloudevents.event(rows[0], source) if envelope.single else cloudevents.batch(rows, source)
    return text.encode(), {
        "content-type": cloudevents.content_type(single=envelope.single),
        **{f"pubsubpull-{name}": said.strip('"') for name, said in _headed(envelope)},
    }


def _headed(envelope: Envelope) -> Iterator[tuple[str, str]]:
    """Give what headers say: no text among it has a character that JSON would escape."""
    yield from envelope.parts().items()
    if envelope.snapshot is not None:
        for name, value in dataclasses.asdict(envelope.snapshot).items():
            yield f"snapshot-{name}", json.dumps(value)
