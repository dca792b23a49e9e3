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
"""How many items a page has where the call does not say, unless the service allows fewer."""


def using() -> str:
    """Return the database alias that the API reads."""
    return conf.get().DATABASE


def consumer(request: HttpRequest) -> Any:
    """Return the calling consumer."""
    return request.auth  # type: ignore[attr-defined]


def publication(request: HttpRequest, model: str) -> Publication:
    """Return the publication that the call names if it was granted; refuse any other."""
    (label,) = consumers.chosen(consumer(request), [model])
    found = registry.get(label)
    if found is None:  # an event that was granted
        raise problems.not_found(f"{label} is an event: it has no rows. Read changes/ with models={label}.", "model")
    return found


def check_known(request: HttpRequest, view: Callable[..., Any]) -> None:
    """Refuse parameters that a view does not have: without a misspelt `after`, a reader would begin anew unawares."""
    in_path = request.resolver_match.kwargs if request.resolver_match else {}
    names = [name for name in _parameters(view) if name not in in_path]
    for name in request.GET:
        if name not in names:
            raise problems.invalid(name[:100], f"is no parameter of this call; there are {', '.join(names)}.")


@functools.cache
def _parameters(view: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(view).parameters)[1:]  # without the request


def check_audit(request: HttpRequest) -> None:
    """Refuse a consumer that was not granted the trail."""
    if not consumer(request).may_audit:
        raise problems.forbidden("This consumer was not granted the audit trail.")


def checked_limit(limit: int | None, *, usual: int = DEFAULT_LIMIT, times: int = 1) -> int:
    """Return the most items that a page may have: the call's `limit`, or `usual`. Refuse a limit out of range.

    A page of short items may have `times` as many as other pages.
    """
    most = conf.get().PAGE_LIMIT * times
    if limit is None:
        return min(usual, most)
    if not 1 <= limit <= most:
        raise problems.invalid("limit", f"is a number from 1 to {most}.")
    return limit


def cursor(text: str, field: str) -> Cursor:
    """Return the cursor in a field of the query; refuse a text that is no cursor."""
    try:
        return Cursor.decode(text)
    except exceptions.CursorInvalid as error:
        raise problems.invalid(field, str(error)) from error


def zoned(field: str, moment: dt.datetime | None) -> dt.datetime | None:
    """Return the moment in UTC; refuse one without a time zone, or that no calendar of UTC has."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise problems.invalid(field, "says its time zone: 2026-01-31T12:00:00Z.")
    try:
        return moment.astimezone(dt.UTC)
    except OverflowError as error:
        raise problems.invalid(field, "is of the years 1 to 9999 in UTC.") from error


def answer(content: str | bytes | dict[str, Any]) -> HttpResponse:
    """Answer with JSON: text and bytes are taken as such."""
    if isinstance(content, dict):
        content = json.dumps(content)
    body = content.encode() if isinstance(content, str) else content
    return HttpResponse(body, content_type="application/json", headers={"Content-Length": len(body)})
