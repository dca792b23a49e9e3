"""The pull API: models, instances, changes and the trail. GET only; each answer shows what the consumer was granted."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  ninja reads the annotations
import hashlib
import json
import uuid  # noqa: TC003  ninja reads the annotations
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase  # noqa: TC002  ninja reads the annotations
from ninja import Router

from pubsubpull import conf, exceptions
from pubsubpull.audit import export, history, trail
from pubsubpull.capture import feed, registry
from pubsubpull.capture.cursor import Cursor
from pubsubpull.pull import changes, columns, consumers, document, instances, problems, schemas

if TYPE_CHECKING:
    from pubsubpull.capture.registry import Publication

router = Router()
DEFAULT_LIMIT = 500
ERRORS: dict[int, Any] = dict.fromkeys((400, 401, 403, 404, 410, 503), schemas.Problem)


@router.get("/", url_name="service", response={200: schemas.Service, **ERRORS}, summary="What this service publishes")
def service(request: HttpRequest) -> HttpResponse:
    """Name the service, its epoch, and the models that the consumer may read."""
    base = request.build_absolute_uri(request.path)
    return _json(
        {
            "service": conf.get().SERVICE_NAME,
            "epoch": feed.present(_using()).epoch,
            "models": [
                {"model": label, "url": f"{base}models/{label}/"} for label in consumers.granted(_consumer(request))
            ],
            "links": {
                "changes": f"{base}changes/",
                "subscriptions": f"{base}subscriptions/",
                "health": f"{base}health/",
                "metrics": f"{base}metrics/",
            },
        }
    )


@router.get("/models/{model}/", response={200: schemas.Model, **ERRORS}, summary="A model's key and columns")
def model_(request: HttpRequest, model: str) -> HttpResponse:
    """Describe a model: its key's columns and, as JSON Schema, its rows."""
    publication = _publication(request, model)
    base = request.build_absolute_uri(request.path)
    return _json(
        {
            "model": publication.label,
            "key": publication.key_columns,
            "columns": columns.schema(publication),
            "links": {"instances": f"{base}instances/"},
        }
    )


@router.get("/models/{model}/instances/", response={200: schemas.Instances, **ERRORS}, summary="All rows, by key")
def instances_(  # noqa: PLR0917  each is a part of the query
    request: HttpRequest,
    model: str,
    limit: int = DEFAULT_LIMIT,
    after: str | None = None,
    until: str | None = None,
    cursor: str | None = None,
    newest: bool = False,
) -> HttpResponse:
    """Page through all rows by primary key. The cursor was taken before the first page: pull the changes after it.

    `until` is a key to end at: with those of `ranges/`, several can read at once. With `newest` the highest keys come
    first.
    """
    publication, limit = _publication(request, model), _limit(limit)
    taken = _cursor(cursor, "cursor") if cursor else feed.present(_using()).cursor()
    try:
        page = instances.page(publication, after=after, until=until, limit=limit, using=_using(), newest=newest)
    except exceptions.InvalidKey as error:
        raise problems.invalid("after", str(error)) from error
    following = None
    if page.count == limit:
        bound = ({} if until is None else {"until": until}) | ({"newest": "true"} if newest else {})
        query = urlencode({"limit": limit, "after": page.last, **bound, "cursor": taken.encode()})
        following = f"{request.build_absolute_uri(request.path)}?{query}"
    return _text(
        f'{{"model":{json.dumps(publication.label)},"items":[{page.items}],'
        f'"next":{json.dumps(following)},"cursor":"{taken.encode()}"}}'
    )


@router.get("/models/{model}/ranges/", response={200: schemas.Ranges, **ERRORS}, summary="How to share out all rows")
def ranges_(request: HttpRequest, model: str, parts: int = 4) -> HttpResponse:
    """Say about how many rows there are, and the keys that split them into ranges of about the same size."""
    publication = _publication(request, model)
    if not 1 <= parts <= 1000:
        raise problems.invalid("parts", "is a number from 1 to 1000.")
    rows, keys = instances.ranges(publication, parts=parts, using=_using())
    return _json({"model": publication.label, "rows": rows, "keys": keys})


@router.get(
    "/models/{model}/instances/{path:key}/audit/",
    response={200: schemas.Audit, **ERRORS},
    summary="A row's trail",
    openapi_extra={"responses": {200: {"content": document.exported(export.TYPES)}}},
)
def audit(  # noqa: PLR0917  each is a part of the query
    request: HttpRequest,
    model: str,
    key: str,
    limit: int = DEFAULT_LIMIT,
    before: int | None = None,
    user: str | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    column: str | None = None,
    format: Literal["json", "csv", "ndjson"] | None = None,  # noqa: A002  what it is
) -> HttpResponseBase:
    """Tell who changed what of one object, when, and by which request; newest first.

    `user` (an id or a name), `since`, `until` and `column` narrow it. A page looks at `limit` changes: it may have
    fewer, even none, and still a `next`. With `format` csv or ndjson, or `Accept` of their types, all of the trail
    comes, as a stream: of CSV a line for each column that changed, of NDJSON an object for each change.
    """
    _may_audit(request)
    publication, limit = _publication(request, model), _limit(limit)
    if before is not None and (before == 0 or not -(2**63) <= before < 2**63):
        raise problems.invalid("before", "is a version.")
    if "\0" in key:
        raise problems.not_found("There is no such object.", "key")
    only = {"user": user, "since": _zoned("since", since), "until": _zoned("until", until), "column": column}
    if any("\0" in (text or "") for text in (user, column)):
        raise problems.invalid("user", "holds no NUL character, nor does column.")
    if (kind := format or _preferred(request)) != "json":
        changes_ = export.entries(publication.label, key, **only, before=before, using=_using())
        return export.response(request, changes_, kind=kind, name=f"{publication.label}-{key}")
    page = trail.page(publication.label, key, before=before, limit=limit, using=_using(), **only)
    following = None
    if page.count == limit:
        asked = {name: value for name, value in only.items() if value is not None}
        query = {"limit": limit, "before": page.last, **asked}
        following = f"{request.build_absolute_uri(request.path)}?{urlencode(query)}"
    return _text(f'{{"items":[{page.items}],"next":{json.dumps(following)}}}')


@router.get("/models/{model}/instances/{path:key}/", response={200: schemas.Instance, **ERRORS}, summary="One row")
def instance(request: HttpRequest, model: str, key: str, at: dt.datetime | None = None) -> HttpResponse:
    """Return one row, `at` a moment as it was then, which takes the audit grant. A composite key is a JSON array."""
    publication = _publication(request, model)
    try:
        if at is not None and (past := _as_of(request, publication, key, at)):
            return _text(past)
        item = instances.one(publication, key, using=_using())
    except exceptions.InvalidKey as error:
        raise problems.not_found(str(error), "key") from error
    if item is None:
        raise problems.not_found(f"{publication.label} has no row with this key.", "key")
    return _text(item)


@router.get("/changes/", response={200: schemas.Changes, **ERRORS}, summary="The changes after a cursor")
def changes_(
    request: HttpRequest,
    models: str | None = None,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
    wait: float = 0,
) -> HttpResponse:
    """Return a page of changes; without `after` from the log's start, with `after=now` an empty page and the cursor.

    `wait` holds the call until there is something, at most so many seconds.
    """
    chosen, limit = consumers.chosen(_consumer(request), models), _limit(limit)
    if not 0 <= wait <= conf.get().WAIT_LIMIT:
        raise problems.invalid("wait", f"is from 0 to {conf.get().WAIT_LIMIT:g} seconds.")
    cursor = feed.present(_using()).cursor() if after == "now" else _cursor(after, "after") if after else None
    tag = _tag(cursor, chosen, limit)
    if tag and request.headers.get("If-None-Match") == tag and cursor:
        feed.check(cursor, feed.present(_using()))
        return HttpResponse(status=304, headers={"ETag": tag})
    page = changes.page(cursor, models=chosen, limit=limit, wait=wait, using=_using())
    end = f'],"cursor":"{page.cursor.encode()}","more":{"true" if page.more else "false"}}}'
    answer = _body(b"".join([b'{"items":[', page.items, end.encode()]))
    if tag:
        answer.headers["ETag"] = tag
    return answer


@router.get("/requests/{request_id}/", response={200: schemas.Request, **ERRORS}, summary="What a request changed")
def request_(
    request: HttpRequest, request_id: uuid.UUID, limit: int = DEFAULT_LIMIT, after: int | None = None
) -> HttpResponse:
    """Return a request, and what it changed of the models that the consumer may read."""
    _may_audit(request)
    if after is not None and not -(2**63) <= after < 2**63:
        raise problems.invalid("after", "is a version.")
    models = consumers.granted(_consumer(request))
    found = trail.request(request_id, models=models, after=after, limit=_limit(limit), using=_using())
    if found is None:
        raise problems.not_found("There is no such request, or it changed nothing that you may read.", "request_id")
    return _text(found)


def _preferred(request: HttpRequest) -> str:
    """Return what the caller would rather have: json, csv or ndjson."""
    kinds = {"application/json": "json"} | {media: kind for kind, media in export.TYPES.items()}
    return kinds.get(request.get_preferred_type(list(kinds)) or "", "json")


def _as_of(request: HttpRequest, publication: Publication, key: str, at: dt.datetime) -> str | None:
    """Return a row as it was; None where the log has no change of it, so that it is as it was."""
    _may_audit(request)
    instances.parts(publication, key)
    found = history.found_as_of(publication.label, key, _zoned("at", at), using=_using())
    if found is None:
        return None
    version, data = found
    if data is None:
        raise problems.not_found(f"{publication.label} had no row with this key then.", "key")
    return f'{{"key":{json.dumps(key)},"version":{version},"data":{data}}}'


def _zoned(field: str, moment: dt.datetime | None) -> dt.datetime | None:
    if moment is not None and moment.tzinfo is None:
        raise problems.invalid(field, "says its time zone: 2026-01-31T12:00:00Z.")
    return moment


def _using() -> str:
    return conf.get().DATABASE


def _consumer(request: HttpRequest) -> Any:
    return request.auth  # type: ignore[attr-defined]


def _publication(request: HttpRequest, model: str) -> Publication:
    (label,) = consumers.chosen(_consumer(request), [model])
    publication = registry.get(label)
    assert publication is not None  # noqa: S101  chosen() gives published models only
    return publication


def _may_audit(request: HttpRequest) -> None:
    if not _consumer(request).may_audit:
        raise problems.forbidden("This consumer was not granted the audit trail.")


def _limit(limit: int) -> int:
    most = conf.get().PAGE_LIMIT
    if not 1 <= limit <= most:
        raise problems.invalid("limit", f"is a number from 1 to {most}.")
    return limit


def _cursor(text: str, field: str) -> Cursor:
    try:
        return Cursor.decode(text)
    except exceptions.CursorInvalid as error:
        raise problems.invalid(field, str(error)) from error


def _tag(cursor: Cursor | None, models: list[str], limit: int) -> str | None:
    """Return the ETag of a page between two fixed snapshots, which never changes; None for any other."""
    if cursor is None or cursor.window is None:
        return None
    text = "\n".join([cursor.encode(), str(limit), *models])
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def _text(body: str) -> HttpResponse:
    return _body(body.encode())


def _body(content: bytes) -> HttpResponse:
    return HttpResponse(content, content_type="application/json", headers={"Content-Length": len(content)})


def _json(body: dict[str, Any], status: int = 200) -> HttpResponse:
    return HttpResponse(json.dumps(body), content_type="application/json", status=status)
