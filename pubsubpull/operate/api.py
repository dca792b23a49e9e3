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
"""The caller of a call without a token, if the setting HEALTH allows it."""


class TokenOrNot(consumers.Token):
    """Authentication by a token. If the setting HEALTH is `public`, a call without a token may read the state."""

    def __call__(self, request: HttpRequest) -> Consumer | str | None:
        """Return the consumer or user that makes the call; None if the call is not allowed."""
        consumer: Consumer | None = super().__call__(request)
        # A wrong token is refused all the same: its sender has to learn of it.
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
    """Return the state, check by check. Without a token, return only whether the log can be read."""
    anonymous = request.auth == NOBODY  # type: ignore[attr-defined]
    values = not anonymous and request.auth.may_monitor  # type: ignore[attr-defined]
    results = capture_health.database(conf.get().DATABASE) if anonymous else checks(values=values)
    well = set(results.values()) == {capture_health.OK}
    body: dict[str, Any] = {"status": "ok" if well else "failing"}
    if not anonymous:
        body["checks"] = results
    return HttpResponse(json.dumps(body), content_type="application/json", status=200 if well else 503)


def checks(*, values: bool) -> dict[str, str]:
    """Return each check with `ok` or the reason of its failure. Without a database, other checks are left out.

    The reasons of replicas may quote rows. With `values=False` they only say that there is a failure.
    """
    using = conf.get().DATABASE
    results = capture_health.checks(using)
    if results["database"] != capture_health.OK:
        return results
    try:
        return results | delivery.checks(conf.get()) | replicas.checks(using, values=values)
    # The answer of a health check must not be an error itself: a load balancer reads the status.
    except DatabaseError as error:
        return results | {"database": f"{type(error).__name__}: the tables of delivery cannot be read"}


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
    """Return counters, gauges and histograms in Prometheus's text format, for consumers that may monitor."""
    if not request.auth.may_monitor:  # type: ignore[attr-defined]
        raise problems.forbidden("This consumer was not granted monitoring.")
    return HttpResponse(metrics.text(conf.get()), content_type=metrics.CONTENT_TYPE)
