"""The API's OpenAPI document: what ninja makes of the code, and what it cannot know."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ninja import NinjaAPI

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROBLEM = "#/components/schemas/Problem"
EVERYWHERE = (400, 401, 404, 429, 503)
"""What any call may be answered."""

TITLES = {
    400: "A part of the call cannot be taken: `field` names it.",
    401: "The token is missing or not known.",
    403: "The consumer was not granted this.",
    404: "It is not there, or not for this consumer.",
    410: "The cursor cannot be gone on from, or what is asked for was erased on request.",
    429: "Too many calls; try again after Retry-After.",
    503: "The database does not answer; try again after Retry-After.",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pushed:
    """What the service sends to others by itself."""

    webhooks: Mapping[str, Any]
    """By name, what the document calls a path item."""
    schemas: Mapping[str, Any]
    """The schemas that these refer to, by name."""


class Api(NinjaAPI):
    """Says of each operation in what media type its problems come, that any call may meet some, and what is pushed."""

    pushed: Pushed | None = None

    def get_openapi_schema(self, **options: Any) -> Any:
        """Return the document."""
        made = super().get_openapi_schema(**options)
        if self.pushed is not None:
            made["webhooks"] = self.pushed.webhooks
            made["components"]["schemas"] |= self.pushed.schemas
        for operation in operations(made):
            complete(operation["responses"])
        return made


def exported(types: Mapping[str, str]) -> dict[str, Any]:
    """Return what an answer may have as content besides JSON: files of these media types."""
    return {media: {"schema": {"type": "string"}} for media in types.values()}


def operations(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Give each operation of an OpenAPI document."""
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
