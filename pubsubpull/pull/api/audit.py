"""The trail over HTTP: the changes of one object, and the changes of one request. Both need the audit grant."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  ninja reads the annotations
import uuid  # noqa: TC003  ninja reads the annotations
from typing import Any, Literal
from urllib.parse import urlencode

from django.http import HttpRequest  # noqa: TC002  ninja reads the annotations
from django.http.response import HttpResponseBase  # noqa: TC002  ninja reads the annotations
from ninja import Router

from pubsubpull.audit.history import export, trail
from pubsubpull.pull import consumers, problems
from pubsubpull.pull.api import calls, openapi, schemas
from pubsubpull.wire import pages

router = Router()
AUDIT_ERRORS: dict[int, Any] = dict.fromkeys((400, 401, 403, 404, 410, 503), schemas.Problem)


@router.get(
    "/models/{model}/audit/{path:key}/",
    response={200: schemas.Audit, **AUDIT_ERRORS},
    summary="A row's trail",
    openapi_extra={"responses": {200: {"content": openapi.exported(export.MEDIA_TYPES)}}},
    operation_id="getAudit",
)
def audit(  # noqa: PLR0917  each is a part of the query
    request: HttpRequest,
    model: str,
    key: str,
    limit: int | None = None,
    before: int | None = None,
    user: str | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    column: str | None = None,
    format: Literal["json", "csv", "ndjson"] | None = None,  # noqa: A002  what it is
) -> HttpResponseBase:
    """Return the changes of one object with their users, times and requests, newest first.

    `user` (an id or a name), `since`, `until` and `column` narrow it. A page reads `limit` changes
    and shows those that match: it may be short, even empty, and still have a `next`. With `format` csv or ndjson, or
    an `Accept` header of their types, the whole trail is streamed: as CSV a line for each changed column, as NDJSON an
    object for each change.
    """
    calls.check_audit(request)
    calls.check_known(request, audit)
    publication, limit = calls.publication(request, model), calls.checked_limit(limit)
    if before is not None and (before == 0 or not -(2**63) <= before < 2**63):  # no bigint: the query would fail
        raise problems.invalid("before", "is a version.")
    # PostgreSQL's text holds no NUL: the query would fail.
    if "\0" in key:
        raise problems.not_found("There is no such object.", "key")
    only = {"user": user, "since": calls.zoned("since", since), "until": calls.zoned("until", until), "column": column}
    if any("\0" in (text or "") for text in (user, column)):
        raise problems.invalid("user", "holds no NUL character, nor does column.")
    if (kind := format or _preferred(request)) != "json":
        changes_ = export.entries(publication.label, key, **only, before=before, using=calls.using())
        return export.response(request, changes_, kind=kind, name=f"{publication.label}-{key}")
    page = trail.page(publication.label, key, before=before, limit=limit, using=calls.using(), **only)
    following = None
    if page.full:
        asked = {name: value for name, value in only.items() if value is not None}
        query = {"limit": limit, "before": page.last, **asked}
        following = f"{request.build_absolute_uri(request.path)}?{urlencode(query)}"
    return calls.answer(pages.write_list(page.items, following=following))


@router.get(
    "/requests/{request_id}/",
    response={200: schemas.Request, **AUDIT_ERRORS},
    summary="What a request changed",
    openapi_extra={"responses": {200: {"content": openapi.exported(export.MEDIA_TYPES)}}},
    operation_id="getRequest",
)
def request_(
    request: HttpRequest,
    request_id: uuid.UUID,
    limit: int | None = None,
    after: int | None = None,
    format: Literal["json", "csv", "ndjson"] | None = None,  # noqa: A002  what it is
) -> HttpResponseBase:
    """Return a request with its changes, as far as the consumer may read the models.

    With `format` csv or ndjson, or an `Accept` header of their types, all of it is streamed, the latest change first.
    """
    calls.check_audit(request)
    calls.check_known(request, request_)
    # As for `before`: a larger number is no bigint.
    if after is not None and not -(2**63) <= after < 2**63:
        raise problems.invalid("after", "is a version.")
    models, limit, using = consumers.granted(calls.consumer(request)), calls.checked_limit(limit), calls.using()
    kind = format or _preferred(request)
    # One change tells if an export has any: once it streams, it cannot become a 404.
    request_trail = trail.request(
        request_id, models=models, after=after, limit=limit if kind == "json" else 1, using=using
    )
    if request_trail is None:
        raise problems.not_found("There is no such request, or it changed nothing that you may read.", "request_id")
    if kind == "json":
        return calls.answer(request_trail)
    if after is not None:
        raise problems.invalid("after", "is of pages of JSON: an export has all changes.")
    changes_ = export.entries(request=request_id, models=models, using=using)
    return export.response(request, changes_, kind=kind, name=f"request-{request_id}")


def _preferred(request: HttpRequest) -> str:
    """Return the format that the caller prefers: json, csv or ndjson."""
    # JSON first: it is the answer for a caller that accepts anything.
    kinds = {"application/json": "json"} | {media: kind for kind, media in export.MEDIA_TYPES.items()}
    return kinds.get(request.get_preferred_type(list(kinds)) or "", "json")
