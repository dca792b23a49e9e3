"""The catalogue of a service: its models and events with their schemas, as an AsyncAPI 3.0 document.

The specification: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from pubsubpull import __version__, conf
from pubsubpull.capture import registry
from pubsubpull.events import declare
from pubsubpull.pull.api import columns
from pubsubpull.replica.handlers import declare as declared
from pubsubpull.wire import ops

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pubsubpull.events.declare import Kind
    from pubsubpull.replica.handlers.declare import Handler

MODE: Literal["serialization"] = "serialization"
ANNOTATIONS = ("title", "description", "default", "examples")
"""Members of a schema that do not restrict the values. A change of these breaks no reader."""
UNFIT = re.compile(r"[^A-Za-z0-9._-]")
"""A character that the name of a component must not have."""


def document(labels: Collection[str], *, handlers: Iterable[Handler] = ()) -> dict[str, Any]:
    """Return the AsyncAPI document of the models and events with some labels, and of what `handlers` react to."""
    schemas: dict[str, Any] = {}
    messages = {label: message for label in sorted(labels) if (message := _message(label, schemas))}
    channels = {
        label: {"address": label, "messages": {label: {"$ref": f"#/components/messages/{label}"}}} for label in messages
    }
    operations = {f"send.{label}": _operation("send", label, label) for label in channels}
    for handler in handlers:
        name = _received(handler, channels, messages)
        operations[f"receive.{UNFIT.sub('_', handler.name)}"] = _operation("receive", name, handler.source)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": conf.get().SERVICE_NAME,
            "version": __version__,
            "description": "The changes and events of this service: pulled from changes/, or pushed to a callback.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }


def _operation(action: str, channel: str, message: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"}],
    }


def _received(handler: Handler, channels: dict[str, Any], messages: dict[str, Any]) -> str:
    """Return the name of the channel of what a handler reacts to. Another service's gets a channel and message."""
    service, label = declared.service_of(handler), handler.source
    if not service and label in channels:
        return label
    name = UNFIT.sub("_", f"{service}.{label}") if service else label
    messages.setdefault(name, {"name": label, "summary": f"{label} of {service or 'this service'}."})
    channels.setdefault(name, {"address": label, "messages": {label: {"$ref": f"#/components/messages/{name}"}}})
    return name


def _message(label: str, schemas: dict[str, Any]) -> dict[str, Any] | None:
    """Return the message of a model or an event, and put its schemas into `schemas`; None for an unknown label."""
    kind, publication = declare.get(label), registry.get(label)
    if kind is not None:
        schemas[label] = _event_schema(kind, schemas)
        names, summary = [ops.EVENT.name], _summary(kind.event_class.__doc__) or f"The event {label}."
    elif publication is not None:
        schemas[label] = columns.schema(publication)
        names, summary = [name for name in ops.OP_NAMES if name != ops.EVENT.name], f"A change of {label}."
    else:
        return None
    schemas[f"{label}.change"] = _change(label, names)
    payload = {"$ref": _schema(f"{label}.change")}
    return {"name": label, "summary": summary, "contentType": "application/json", "payload": payload}


def _event_schema(kind: Kind, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an event's data; the schemas that it refers to go into `schemas`."""
    schema = kind.adapter.json_schema(mode=MODE, ref_template=_schema(f"{kind.label}.{{model}}"))
    for name, part in schema.pop("$defs", {}).items():
        schemas[f"{kind.label}.{UNFIT.sub('_', name)}"] = part
    if kind.version > 1:
        schema["properties"] = {declare.VERSION_FIELD: {"const": kind.version}, **schema.get("properties", {})}
    return schema


def _schema(name: str) -> str:
    return f"#/components/schemas/{name}"


def _change(label: str, names: Collection[str]) -> dict[str, Any]:
    """Return the schema of a change: a row's, with the row before and after, or an event's."""
    data = {"anyOf": [{"$ref": _schema(label)}, {"type": "null"}]}
    properties = {
        "version": {"type": "integer"},
        "transaction": {"type": "string"},
        "model": {"const": label},
        "key": {"type": ["string", "null"]},
        "op": {"enum": [*names]},
        "at": {"type": "string", "format": "date-time"},
        "request": {"type": ["string", "null"], "format": "uuid"},
        "old": {"type": "null"} if ops.EVENT.name in names else data,
        "new": {"$ref": _schema(label)} if ops.EVENT.name in names else data,
    }
    return {"type": "object", "required": [*properties], "properties": properties}


def _summary(text: str | None) -> str:
    """Return the first paragraph of a docstring; an empty text for a dataclass without a docstring of its own."""
    # Such a class has its signature as its docstring.
    paragraph = " ".join((text or "").strip().partition("\n\n")[0].split())
    return "" if re.match(r"\w+\(", paragraph) else paragraph


def breaks(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the differences that break readers of the document `before`, a sentence each.

    These are removed labels, removed fields, and fields of another type. New labels and fields break nothing. Raises
    `ValueError` if `before` is no such document.
    """
    try:
        old, new = before["components"]["schemas"], now["components"]["schemas"]
        # What the service receives is not its own to promise.
        sent = [name.removeprefix("send.") for name in before["operations"] if name.startswith("send.")]
        labels = [label for label in before["channels"] if label in sent]
        broken: list[str] = []
        for label in labels:
            if label not in now["channels"]:
                broken.append(f"{label} is gone")
            else:
                broken += _broken(label, old[label], new[label], old, new)
    # The document is a file of the user's: any part of it may be missing or of another kind.
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no catalogue of pubsubpull: {error!r}") from error
    return broken


def _broken(
    where: str, before: Mapping[str, Any], now: Mapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]
) -> list[str]:
    broken = []
    for name, part in before.get("properties", {}).items():
        # A new version breaks nothing: upcasts read the older ones.
        if name == declare.VERSION_FIELD:
            continue
        if name not in now.get("properties", {}):
            broken.append(f"{where}.{name} is gone")
        elif _plain(part, old) != _plain(now["properties"][name], new):
            broken.append(f"{where}.{name} has another type")
    return broken


def _plain(schema: Any, schemas: Mapping[str, Any], depth: int = 20) -> Any:
    """Return a schema without annotations, with its references replaced by their schemas up to `depth` levels."""
    # Limited, since a schema may refer to itself.
    if isinstance(schema, list):
        return [_plain(part, schemas, depth) for part in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    if reference and depth:
        return _plain(schemas[reference.rpartition("/")[2]], schemas, depth - 1)
    return {name: _plain(part, schemas, depth) for name, part in schema.items() if name not in ANNOTATIONS}
