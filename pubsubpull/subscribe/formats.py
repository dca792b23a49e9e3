"""How changes are written into the body of a notification: as a page, or as CloudEvents."""

from __future__ import annotations

import dataclasses
import json
import urllib.parse
from typing import TYPE_CHECKING, Any

from pubsubpull import conf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pubsubpull.capture.feed import Row

PAGE, CLOUDEVENTS = "page", "cloudevents"
FORMATS = (PAGE, CLOUDEVENTS)
SPECIFICATION = "1.0"
"""The version of CloudEvents: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Envelope:
    """What a notification says besides its changes. `single` is for callbacks that take one change a PUT."""

    subscription: str
    previous: str
    cursor: str
    more: bool
    epoch: int
    single: bool = False


def encode(rows: Sequence[Row], envelope: Envelope, form: str) -> tuple[bytes, Mapping[str, str]]:
    """Return the body and the headers that describe it."""
    return _cloudevents(rows, envelope) if form == CLOUDEVENTS else _page(rows, envelope)


def _page(rows: Sequence[Row], envelope: Envelope) -> tuple[bytes, Mapping[str, str]]:
    items = ",".join([row.item for row in rows])
    body = (
        f'{{"subscription":{json.dumps(envelope.subscription)},"previous":"{envelope.previous}",'
        f'"cursor":"{envelope.cursor}","more":{"true" if envelope.more else "false"},"items":[{items}]}}'
    )
    return body.encode(), {"content-type": "application/json"}


def _cloudevents(rows: Sequence[Row], envelope: Envelope) -> tuple[bytes, Mapping[str, str]]:
    """Return structured events. What a page says around its items goes into headers: a batch has no room for it."""
    source = f"urn:pubsubpull:{urllib.parse.quote(conf.get().SERVICE_NAME, safe='')}:{envelope.epoch}"
    events = [_event(row.item, source) for row in rows]
    kind = "cloudevents" if envelope.single else "cloudevents-batch"
    return (events[0] if envelope.single else f"[{','.join(events)}]").encode(), {
        "content-type": f"application/{kind}+json; charset=utf-8",
        "pubsubpull-subscription": envelope.subscription,
        "pubsubpull-previous": envelope.previous,
        "pubsubpull-cursor": envelope.cursor,
        "pubsubpull-more": "true" if envelope.more else "false",
    }


def _event(item: str, source: str) -> str:
    """Return a change as an event. Its rows are passed on as the text they are, numbers of any precision included."""
    # Within a JSON string the quotes would be escaped, so this is where the rows begin.
    start = item.index(',"old":')
    change: dict[str, Any] = json.loads(f"{item[:start]}}}")
    attributes = {
        "specversion": SPECIFICATION,
        "id": _id(change),
        "source": source,
        "type": f"{change['model']}.{change['op']}",
        "subject": change["key"],
        "time": change["at"],
        "datacontenttype": "application/json",
        "partitionkey": change["key"] and f"{change['model']}:{change['key']}",
        "sequence": f"{change['version']:020}",
        "transaction": change["transaction"],
        "request": change["request"],
    }
    present = {name: value for name, value in attributes.items() if value}
    return f'{json.dumps(present)[:-1]},"data":{{{item[start + 1 :]}}}'


def _id(change: Mapping[str, Any]) -> str:
    """Return what is one event's own within its source; many snapshots of rows may share a version."""
    version = str(change["version"])
    return version if change["op"] != "snapshot" else f"{version}:{change['model']}:{change['key']}"
