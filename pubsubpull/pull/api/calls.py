"""The common parts of the API's calls: the caller, the model, the limit, the cursor, and the answer."""

from __future__ import annotations

import datetime as dt
import functools
import inspect
import json
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse

from pubsubpull import conf, exceptions
from pubsubpull.capture import registry
from pubsubpull.log.cursor import Cursor
from pubsubpull.pull import consumers, problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from pubsubpull.capture.registry import Publication

DEFAULT_LIMIT = 1000
"""The items of a page if the call names no limit and the service allows as many."""


def using() -> str:
    """Return the database alias that the API reads."""
    return conf.get().DATABASE


def consumer(request: HttpRequest) -> Any:
    """Return the calling consumer."""
    return request.auth  # type: ignore[attr-defined]


def publication(request: HttpRequest, model: str) -> Publication:
    """Return the publication that the call names. Raises a problem if it was not granted."""
    (label,) = consumers.chosen(consumer(request), [model])
    publication_ = registry.get(label)
    # A granted label without a publication is an event's.
    if publication_ is None:
        raise problems.not_found(f"{label} is an event: it has no rows. Read changes/ with models={label}.", "model")
    return publication_


def check_known(request: HttpRequest, view: Callable[..., Any]) -> None:
    """Raise a problem for a parameter that the view does not have."""
    # With a misspelt `after` that is ignored, a reader would begin again at the log's start, unawares.
    in_path = request.resolver_match.kwargs if request.resolver_match else {}
    names = [name for name in _parameters(view) if name not in in_path]
    for name in request.GET:
        if name not in names:
            # Cut, since it comes from the caller.
            raise problems.invalid(name[:100], f"is no parameter of this call; there are {', '.join(names)}.")


@functools.cache
def _parameters(view: Callable[..., Any]) -> tuple[str, ...]:
    # Without the first, which is the request.
    return tuple(inspect.signature(view).parameters)[1:]


def check_audit(request: HttpRequest) -> None:
    """Raise a problem if the consumer was not granted the trail."""
    if not consumer(request).may_audit:
        raise problems.forbidden("This consumer was not granted the audit trail.")


def checked_limit(limit: int | None, *, usual: int = DEFAULT_LIMIT, times: int = 1) -> int:
    """Return the most items of a page: the call's `limit`, or `usual`. Raises a problem for a limit out of range.

    A page of short items may have `times` as many items as other pages.
    """
    most = conf.get().PAGE_LIMIT * times
    if limit is None:
        return min(usual, most)
    if not 1 <= limit <= most:
        raise problems.invalid("limit", f"is a number from 1 to {most}.")
    return limit


def cursor(text: str, field: str) -> Cursor:
    """Return the cursor in a field of the query. Raises a problem for a text that is no cursor."""
    try:
        return Cursor.decode(text)
    except exceptions.CursorInvalid as error:
        raise problems.invalid(field, str(error)) from error


def zoned(field: str, moment: dt.datetime | None) -> dt.datetime | None:
    """Return the moment in UTC. Raises a problem for a moment without a time zone, or out of the calendar in UTC."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise problems.invalid(field, "says its time zone: 2026-01-31T12:00:00Z.")
    try:
        return moment.astimezone(dt.UTC)
    # The first and the last hours of Python's years may have no time in UTC.
    except OverflowError as error:
        raise problems.invalid(field, "is of the years 1 to 9999 in UTC.") from error


def answer(content: str | bytes | dict[str, Any]) -> HttpResponse:
    """Return an answer of JSON. Text and bytes are JSON already."""
    if isinstance(content, dict):
        content = json.dumps(content)
    body = content.encode() if isinstance(content, str) else content
    return HttpResponse(body, content_type="application/json", headers={"Content-Length": len(body)})
