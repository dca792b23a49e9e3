"""The `webhooks` of the OpenAPI document, with the schemas of the notifications that a callback gets."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  pydantic reads the annotations
import uuid  # noqa: TC003
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import Field
from pydantic.json_schema import models_json_schema

from pubsubpull.pull.api import openapi
from pubsubpull.wire import ops  # noqa: TC001  pydantic reads the annotations

MODE: Literal["serialization"] = "serialization"
Optional = Annotated[str, Field(default="", json_schema_extra=lambda schema: schema.pop("default"))]
"""A text that may be left out."""


class PushedChange(Schema):
    """One change. The operations truncate and uncaptured have no key.

    `traceparent` and `tracestate` come from the change's request.
    """

    version: int
    transaction: str
    model: str
    key: str | None
    op: ops.Name
    at: dt.datetime
    request: uuid.UUID | None
    traceparent: Optional
    tracestate: Optional
    old: dict[str, Any] | None
    new: dict[str, Any] | None


class PushedRow(Schema):
    """A row of a backfill, sent before all changes. A single item without key and row stands for an empty model."""

    version: int
    transaction: None
    model: str
    key: str | None
    op: Literal["snapshot"]
    at: dt.datetime
    request: None
    old: None
    new: dict[str, Any] | None


class PushedSnapshot(Schema):
    """The part of a model's rows in a notification."""

    id: str
    model: str
    first: bool
    last: bool


class ChangesNotification(Schema):
    """A page of changes: compare `previous` with your stored cursor, then store `cursor`."""

    subscription: str
    previous: str
    cursor: str
    more: bool
    items: list[PushedChange]


class RowsNotification(Schema):
    """A page of rows: store `cursor`, and compare nothing."""

    subscription: str
    cursor: str
    snapshot: PushedSnapshot
    items: list[PushedRow]


class RowNotification(Schema):
    """A row, for a callback with variables: there is no cursor to compare or to store."""

    subscription: str
    snapshot: PushedSnapshot
    items: Annotated[list[PushedRow], Field(min_length=1, max_length=1)]


class ChangeNotification(Schema):
    """One change, for a callback with variables, or a dead letter sent again: here is no cursor either."""

    subscription: str
    items: Annotated[list[PushedChange | PushedRow], Field(min_length=1, max_length=1)]


class CloudEventData(Schema):
    """The row before and after."""

    old: dict[str, Any] | None
    new: dict[str, Any] | None


class CloudEvent(Schema):
    """A change or a row as a CloudEvent. `sequence` is its version."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    subject: Optional
    time: dt.datetime
    datacontenttype: Literal["application/json"]
    partitionkey: Optional
    sequence: str
    transaction: Optional
    request: Optional
    traceparent: Optional
    tracestate: Optional
    data: CloudEventData


class Elsewhere(Schema):
    """The receiver's own cursor, from which delivery continues."""

    cursor: str


BODIES = (ChangesNotification, RowsNotification, RowNotification, ChangeNotification)
SIGNED = {
    "webhook-id": "the same for the same content however often it is sent",
    "webhook-timestamp": "unix seconds of this attempt",
    "webhook-signature": "one or more signatures, a space between, as in Standard Webhooks",
}
SAID = {
    "pubsubpull-subscription": "of CloudEvents: the subscription's name",
    "pubsubpull-previous": "of CloudEvents: `previous`",
    "pubsubpull-cursor": "of CloudEvents: `cursor`",
    "pubsubpull-more": "of CloudEvents: `more`",
    "pubsubpull-snapshot-id": "of CloudEvents: `id` of `snapshot`",
    "pubsubpull-snapshot-model": "of CloudEvents: `model` of `snapshot`",
    "pubsubpull-snapshot-first": "of CloudEvents: `first` of `snapshot`",
    "pubsubpull-snapshot-last": "of CloudEvents: `last` of `snapshot`",
}
ANSWERS = {
    "2XX": "The notification is taken; the next one follows.",
    "409": "To a page: the receiver names its own cursor, and delivery continues from it.",
    "410": "The receiver unsubscribes: nothing more is sent until the subscription is PUT again.",
    "default": "The same notification is sent again later; `Retry-After` of a 429 or 503 is kept to.",
}


def pushed() -> openapi.Pushed:
    """Return the document's part on notifications, and its schemas."""
    _, schemas = models_json_schema(
        [(model, MODE) for model in (*BODIES, CloudEvent, Elsewhere)], ref_template="#/components/schemas/{model}"
    )
    return openapi.Pushed(webhooks={"notification": {"put": _operation()}}, schemas=schemas["$defs"])


def _operation() -> dict[str, Any]:
    answers: dict[str, Any] = {status: {"description": text} for status, text in ANSWERS.items()}
    answers["409"]["content"] = {"application/json": {"schema": _ref(Elsewhere)}}
    return {
        "operationId": "notification",
        "summary": "A notification",
        "description": "Its fields tell its kind: see the wire format.",
        "tags": ["subscribe"],
        "security": [],
        "parameters": [_header(name, text, required=name in SIGNED) for name, text in {**SIGNED, **SAID}.items()],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"anyOf": [_ref(model) for model in BODIES]}},
                "application/cloudevents-batch+json": {"schema": {"type": "array", "items": _ref(CloudEvent)}},
                "application/cloudevents+json": {"schema": _ref(CloudEvent)},
            },
        },
        "responses": answers,
    }


def _header(name: str, text: str, *, required: bool) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": required, "description": text, "schema": {"type": "string"}}


def _ref(model: type[Schema]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
