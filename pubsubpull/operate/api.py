"""Health and metrics over HTTP, for load balancers, Prometheus and operators."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from ninja import Router

from pubsubpull import conf
from pubsubpull.operate import capture_health, catalogue, metrics
from pubsubpull.operate import health as delivery
from pubsubpull.pull import consumers, problems
from pubsubpull.pull.api import schemas
from pubsubpull.replica import health as replicas

if TYPE_CHECKING:
    from pubsubpull.pull.models import Consumer

router = Router()
CATALOGUE_ERRORS: dict[int, Any] = {401: schemas.Problem}
OPERATION_ERRORS: dict[int, Any] = dict.fromkeys((401, 403, 501, 503), schemas.Problem)
NOBODY = "nobody"
"""Stands for the consumer of a call without a token, where the settings let it have the state."""


class TokenOrNot(consumers.Token):
    """As a token; where the setting HEALTH is `public`, a call without one gets the state and nothing more."""

    def __call__(self, request: HttpRequest) -> Consumer | str | None:
        """Return the consumer or user that makes the call; None if the call is not allowed."""
        consumer: Consumer | None = super().__call__(request)
        if consumer is None and conf.get().HEALTH == "public" and "Authorization" not in request.headers:
            return NOBODY
        return consumer


@router.get(
    "/health/",
    auth=TokenOrNot(),
    response={200: schemas.Check, 503: schemas.Check, 401: schemas.Problem},
    summary="The state",
    operation_id="getHealth",
)
def health_(request: HttpRequest) -> HttpResponse:
    """Say whether all is well, check by check; without a token, in a word, whether the log can be read."""
    anonymous = request.auth == NOBODY  # type: ignore[attr-defined]
    values = not anonymous and request.auth.may_monitor  # type: ignore[attr-defined]
    results = capture_health.database(conf.get().DATABASE) if anonymous else checks(values=values)
    well = set(results.values()) == {capture_health.OK}
    body: dict[str, Any] = {"status": "ok" if well else "failing"}
    if not anonymous:
        body["checks"] = results
    return HttpResponse(json.dumps(body), content_type="application/json", status=200 if well else 503)


def checks(*, values: bool) -> dict[str, str]:
    """Return each check with `ok` or the reason of its failure. Without a database, checks that need one are left out.

    The reasons of replicas may quote rows: without `values`, only the fact of a failure is told.
    """
    using = conf.get().DATABASE
    results = capture_health.checks(using)
    if results["database"] != capture_health.OK:
        return results
    try:
        return results | delivery.checks(conf.get()) | replicas.checks(using, values=values)
    except DatabaseError as error:
        return results | {"database": f"{type(error).__name__}: what belongs to delivery cannot be read"}


@router.get(
    "/asyncapi.json",
    response={200: dict[str, Any], **CATALOGUE_ERRORS},
    summary="The catalogue",
    operation_id="getAsyncapi",
)
def asyncapi_(request: HttpRequest) -> HttpResponse:
    """Describe the models and events that the consumer may read, as an AsyncAPI 3.0 document."""
    document = catalogue.document(consumers.granted(request.auth))  # type: ignore[attr-defined]
    return HttpResponse(json.dumps(document), content_type="application/json")


@router.get(
    "/metrics/", response={200: None, **OPERATION_ERRORS}, summary="Metrics for Prometheus", operation_id="getMetrics"
)
def metrics_(request: HttpRequest) -> HttpResponse:
    """Give counters, gauges and histograms in Prometheus's text format, to consumers that may monitor."""
    if not request.auth.may_monitor:  # type: ignore[attr-defined]
        raise problems.forbidden("This consumer was not granted monitoring.")
    return HttpResponse(metrics.text(conf.get()), content_type=metrics.CONTENT_TYPE)
