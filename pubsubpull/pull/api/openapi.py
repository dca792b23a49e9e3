"""The API's OpenAPI document: made by ninja from the code, with additions that the code does not tell."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from ninja import NinjaAPI

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


PROBLEM = "#/components/schemas/Problem"
EVERYWHERE = (400, 401, 404, 429, 503)
"""Statuses that any call may get."""

TITLES = {
    400: "A part of the call cannot be taken: `field` names it.",
    401: "The token is missing or not known.",
    403: "The consumer was not granted this.",
    404: "It is not there, or not for this consumer.",
    410: "The log no longer has the changes after this cursor, or the values were erased on request.",
    429: "Too many calls; try again after Retry-After.",
    503: "The database does not answer; try again after Retry-After.",
}

TAGS = {
    "pull": "Models, their rows, and the changes since.",
    "audit": "Who changed what: it takes the audit grant.",
    "compare": "Hashes of rows, by which a copy is compared.",
    "subscribe": "Have changes pushed: it takes the grant to subscribe.",
    "operate": "The state of the service.",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pushed:
    """The requests that the service itself sends."""

    webhooks: Mapping[str, Any]
    """OpenAPI path items by name."""
    schemas: Mapping[str, Any]
    """The schemas that these refer to, by name."""


class Api(NinjaAPI):
    """Adds the media type of problems, the problems common to all calls, and the webhooks."""

    pushed: Pushed | None = None

    def get_openapi_schema(self, **options: Any) -> Any:
        """Return the document."""
        document = super().get_openapi_schema(**options)
        document["servers"] = [{"url": "/"}]
        document["info"]["license"] = {"name": "MIT", "identifier": "MIT"}
        document["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
        if self.pushed is not None:
            document["webhooks"] = self.pushed.webhooks
            document["components"]["schemas"] |= self.pushed.schemas
        for operation in operations(document):
            complete(operation["responses"])
        for schema in document["components"]["schemas"].values():
            close(schema)
        # The schema of a PUT alone: the others are of answers, which have no defaults.
        without_defaults(document["components"]["schemas"]["SubscriptionSpec"])
        return document


def close(schema: Any) -> None:
    """Let all arrays of a fixed form within a schema end with their fixed items."""
    if isinstance(schema, dict):
        if "prefixItems" in schema:
            # JSON Schema otherwise allows further items after those.
            schema.setdefault("items", False)
        for part in schema.values():
            close(part)
    elif isinstance(schema, list):
        for part in schema:
            close(part)


def without_defaults(schema: dict[str, Any]) -> None:
    """Move defaults into the descriptions."""
    # Generators of types treat a field with a default as required.
    for part in schema["properties"].values():
        default = part.pop("default", None)
        if default is not None:
            part["description"] = f"{json.dumps(default)} where it is not given."


def exported(types: Mapping[str, str]) -> dict[str, Any]:
    """Return the content types of an answer besides JSON: files of these media types."""
    return {media: {"schema": {"type": "string"}} for media in types.values()}


def operations(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each operation of an OpenAPI document."""
    for path in document["paths"].values():
        yield from path.values()


def complete(responses: dict[Any, Any]) -> None:
    """Give an operation's problems their media type, and add those of every call."""
    problem = {"schema": {"$ref": PROBLEM}}
    for status in EVERYWHERE:
        responses.setdefault(status, {"description": "", "content": {"application/json": problem}})
    for status, response in responses.items():
        content = response.get("content", {})
        if content.get("application/json", {}).get("schema", {}).get("$ref") == PROBLEM:
            response["content"] = {"application/problem+json": content["application/json"]}
            response["description"] = TITLES.get(int(status), response["description"])
        if int(status) in {429, 503}:
            response["headers"] = {"Retry-After": {"description": "in seconds", "schema": {"type": "integer"}}}
