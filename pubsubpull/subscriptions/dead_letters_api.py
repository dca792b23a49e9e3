"""The failures resource: a subscription's dead letters, for its consumer to list, retry and drop."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  ninja reads the annotations
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema

from pubsubpull.pull import problems
from pubsubpull.pull.api import calls, schemas
from pubsubpull.subscriptions import dead_letters, service
from pubsubpull.wire import pages

if TYPE_CHECKING:
    from pubsubpull.subscriptions.models import Failure, Subscription

router = Router()
USUAL_DEAD_LETTERS = 100
"""The default size of a page of dead letters."""
DEAD_LETTER_ERRORS: dict[int, Any] = dict.fromkeys((400, 401, 403, 404, 503), schemas.Problem)


class SetAside(Schema):
    """A change that was set aside, with the receiver's last answer: its status, and the beginning of its body."""

    id: int
    set_aside: dt.datetime
    attempts: int
    tried: dt.datetime
    status: int | None
    answer: str
    error: str
    retrying: bool
    change: schemas.Change


class AllSetAside(Schema):
    """A page of changes set aside, oldest first."""

    items: list[SetAside]
    next: str | None


@router.get(
    "/{name}/failures/",
    response={200: AllSetAside, **DEAD_LETTER_ERRORS},
    summary="The changes set aside",
    operation_id="listFailures",
)
def list_(request: HttpRequest, name: str, limit: int | None = None, after: int | None = None) -> HttpResponse:
    """Page through the changes that the receiver refused, by version."""
    limit = calls.checked_limit(limit, usual=USUAL_DEAD_LETTERS)
    subscription = _subscription(request, name)
    failures = dead_letters.page(subscription, after=after, limit=limit)
    following = None
    # Asked for: a page may end early by its size, so its length does not tell if more follow.
    if failures and dead_letters.page(subscription, after=failures[-1].version, limit=1):
        query = urlencode({"limit": limit, "after": failures[-1].version})
        following = f"{request.build_absolute_uri(request.path)}?{query}"
    items = ",".join(_text(failure) for failure in failures)
    return _answer(pages.write_list(items, following=following))


@router.put(
    "/{name}/failures/{int:failure}/",
    response={202: SetAside, **DEAD_LETTER_ERRORS},
    summary="Try one again",
    operation_id="retryFailure",
)
def retry(request: HttpRequest, name: str, failure: int) -> HttpResponse:
    """Have the change sent again by itself, soon. It leaves this list once the receiver has taken it."""
    subscription = _subscription(request, name)
    dead_letters.retry(subscription, failure)
    # Read after the update, so that the answer shows it, and an id of another subscription is not found.
    retried = dead_letters.of(subscription).filter(pk=failure).first()
    if retried is None:
        raise _unknown()
    return _answer(_text(retried), status=202)


@router.delete(
    "/{name}/failures/{int:failure}/",
    response={204: None, **DEAD_LETTER_ERRORS},
    summary="Drop one",
    operation_id="dropFailure",
)
def drop(request: HttpRequest, name: str, failure: int) -> HttpResponse:
    """Drop the change: the receiver never gets it."""
    if not dead_letters.drop(_subscription(request, name), failure):
        raise _unknown()
    return HttpResponse(status=204)


def _subscription(request: HttpRequest, name: str) -> Subscription:
    consumer = request.auth  # type: ignore[attr-defined]
    if not consumer.may_subscribe:
        raise problems.forbidden("This consumer was not granted subscribing.")
    subscription = service.get(consumer, name)
    if subscription is None:
        raise problems.not_found("There is no subscription of this name.", "name")
    return subscription


def _unknown() -> problems.Problem:
    return problems.not_found("No change of this id is set aside.", "failure")


def _text(failure: Failure) -> str:
    """Return a dead letter as JSON. The change stays as it was written."""
    return pages.write_dead_letter(dead_letters.describe(failure), failure.item)


def _answer(body: str, status: int = 200) -> HttpResponse:
    return HttpResponse(body, content_type="application/json", status=status)
