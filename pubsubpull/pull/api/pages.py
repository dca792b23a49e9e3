"""Models and their rows over HTTP. GET only; each answer shows only granted models."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  ninja reads the annotations
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse  # noqa: TC002  ninja reads the annotations
from ninja import Router

from pubsubpull import conf, exceptions
from pubsubpull.audit.history import moments
from pubsubpull.capture import registry
from pubsubpull.log import feed
from pubsubpull.pull import consumers, instances, problems
from pubsubpull.pull.api import calls, columns, schemas
from pubsubpull.wire import items, pages

if TYPE_CHECKING:
    from pubsubpull.capture.registry import Publication

router = Router()
PAGE_ERRORS: dict[int, Any] = dict.fromkeys((400, 401, 403, 404, 410, 500, 503), schemas.Problem)


@router.get(
    "/",
    url_name="service",
    response={200: schemas.Service, **PAGE_ERRORS},
    summary="What this service publishes",
    operation_id="getService",
)
def service(request: HttpRequest) -> HttpResponse:
    """Name the service, the history of its log, and the models and events that the consumer may read."""
    labels = consumers.granted(calls.consumer(request))
    base = request.build_absolute_uri(request.path)
    return calls.answer(
        {
            "service": conf.get().SERVICE_NAME,
            "history": feed.present(calls.using()).history,
            # A granted label without a publication is an event's, and has no page of its own.
            "models": [{"model": label, "url": f"{base}models/{label}/"} for label in labels if registry.get(label)],
            "events": [label for label in labels if not registry.get(label)],
            "links": {
                "asyncapi": f"{base}asyncapi.json",
                "changes": f"{base}changes/",
                "subscriptions": f"{base}subscriptions/",
                "health": f"{base}health/",
                "metrics": f"{base}metrics/",
            },
        }
    )


@router.get(
    "/models/{model}/",
    response={200: schemas.Model, **PAGE_ERRORS},
    summary="A model's key and columns",
    operation_id="getModel",
)
def model_(request: HttpRequest, model: str) -> HttpResponse:
    """Describe a model: its key's columns and, as JSON Schema, its rows."""
    publication = calls.publication(request, model)
    base = request.build_absolute_uri(request.path)
    return calls.answer(
        {
            "model": publication.label,
            "key": publication.key_columns,
            "columns": columns.schema(publication),
            "links": {"instances": f"{base}instances/"},
        }
    )


@router.get(
    "/models/{model}/instances/",
    response={200: schemas.Instances, **PAGE_ERRORS},
    summary="All rows, by key",
    operation_id="listInstances",
)
def instances_(  # noqa: PLR0917  each is a part of the query
    request: HttpRequest,
    model: str,
    limit: int | None = None,
    after: str | None = None,
    until: str | None = None,
    cursor: str | None = None,
    newest: bool = False,
) -> HttpResponse:
    """Page through all rows by primary key. The cursor was taken before the first page: pull the changes after it.

    A page has at most about 8 MB of rows; a single larger row has a page of its own.

    `until` is the last key to give: with the keys of `ranges/`, several readers can share a table. With `newest` the
    highest keys come first.
    """
    calls.check_known(request, instances_)
    publication, limit = calls.publication(request, model), calls.checked_limit(limit)
    # Before the rows are read, and the same for all pages: each change made meanwhile comes after it.
    taken = calls.cursor(cursor, "cursor") if cursor else feed.present(calls.using()).cursor()
    try:
        page = instances.page(publication, after=after, until=until, limit=limit, using=calls.using(), newest=newest)
    except exceptions.InvalidKey as error:
        raise problems.invalid("after", str(error)) from error
    following = None
    if page.full:
        bound = ({} if until is None else {"until": until}) | ({"newest": "true"} if newest else {})
        query = urlencode({"limit": limit, "after": page.last, **bound, "cursor": taken.encode()})
        following = f"{request.build_absolute_uri(request.path)}?{query}"
    return calls.answer(pages.write_rows(publication.label, page.items, following=following, cursor=taken.encode()))


@router.get(
    "/models/{model}/ranges/",
    response={200: schemas.Ranges, **PAGE_ERRORS},
    summary="How to share out all rows",
    operation_id="getRanges",
)
def ranges_(request: HttpRequest, model: str, parts: int = 4) -> HttpResponse:
    """Say about how many rows there are, and the keys that split them into ranges of about the same size."""
    calls.check_known(request, ranges_)
    publication = calls.publication(request, model)
    if not 1 <= parts <= 1000:
        raise problems.invalid("parts", "is a number from 1 to 1000.")
    rows, keys = instances.ranges(publication, parts=parts, using=calls.using())
    return calls.answer({"model": publication.label, "rows": rows, "keys": keys})


@router.get(
    # path: a key may hold slashes.
    "/models/{model}/instances/{path:key}/",
    response={200: schemas.Instance, **PAGE_ERRORS},
    summary="One row",
    operation_id="getInstance",
)
def instance(request: HttpRequest, model: str, key: str, at: dt.datetime | None = None) -> HttpResponse:
    """Return one row, `at` a moment as it was then, which takes the audit grant. A composite key is a JSON array."""
    calls.check_known(request, instance)
    publication = calls.publication(request, model)
    try:
        if at is not None and (past := _as_of(request, publication, key, at)):
            return calls.answer(past)
        item = instances.one(publication, key, using=calls.using())
    except exceptions.InvalidKey as error:
        raise problems.not_found(str(error), "key") from error
    if item is None:
        raise problems.not_found(f"{publication.label} has no row with this key.", "key")
    return calls.answer(item)


def _as_of(request: HttpRequest, publication: Publication, key: str, at: dt.datetime) -> str | None:
    """Return a row as it was; None where the log has no change of it, so that it is as it was."""
    # A past state is a part of the trail, which is granted apart.
    calls.check_audit(request)
    # For its error only: a malformed key would otherwise look like a row that did not exist then.
    instances.parts(publication, key)
    state = moments.row_as_of(publication.label, key, calls.zoned("at", at), using=calls.using())
    # Without a change in the log, the present row is the past one, too.
    if state is None:
        return None
    version, data = state
    if data is None:
        raise problems.not_found(f"{publication.label} had no row with this key then.", "key")
    return items.instance(key, data, version=version)
