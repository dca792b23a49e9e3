"""An event as a handler is given it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from pubsubpull.replica import tasks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pubsubpull.events.declare import Kind


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """An event that happened."""

    label: str
    """What happened, as shop.orderplaced."""
    key: str
    """The event's key."""
    version: int
    """Its number in the log of the service that emitted it."""
    transaction: str
    """The transaction that emitted it."""
    at: str
    """When it was emitted, as RFC 3339 has it."""
    request: str | None
    """The request, command or task in which it was emitted."""
    data: Any
    """An instance of its class, of the newest version; a mapping where the class is not known here."""


def read(item: Mapping[str, Any], kind: Kind | None) -> Event:
    """Return the event of a change of the feed. Raises `EventError` if its data does not fit its kind."""
    data = kind.load(item["new"]) if kind else item["new"]
    names = [field.name for field in dataclasses.fields(Event) if field.name not in {"label", "data"}]
    return Event(label=item["model"], data=data, **{name: item[name] for name in names})


def as_argument(item: Mapping[str, Any], kind: Kind | None) -> dict[str, Any]:
    """Return an event as a task's argument, with its data as JSON has them. Raises `EventError`."""
    event = read(item, kind)
    # As JSON has them: a tasks backend stores its arguments as JSON.
    data = kind.adapter.dump_python(event.data, mode="json") if kind else tasks.argument(event.data)
    return {**{name: value for name, value in vars(event).items() if name != "data"}, "data": data}
