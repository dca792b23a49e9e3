"""The subscriptions resource: PUT, GET and DELETE. A consumer sees its own only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema

from pubsubpull import conf
from pubsubpull.log import feed
from pubsubpull.pull import consumers, problems
from pubsubpull.pull.api import calls, schemas
from pubsubpull.subscriptions import service, signing_keys, spec
from pubsubpull.subscriptions.description import Subscription

if TYPE_CHECKING:
    from pubsubpull.log.present import Present

router = Router()
keys_router = Router()
SUBSCRIPTIONS_A_PAGE = 100
"""The default size of a page of subscriptions."""
SUBSCRIPTION_ERRORS: dict[int, Any] = dict.fromkeys((400, 401, 403, 404, 410, 503), schemas.Problem)


class Key(Schema):
    """A public key, as a JSON Web Key (RFC 8037) and as the Standard Webhooks specification writes it."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    alg: Literal["EdDSA"]
    use: Literal["sig"]
    kid: str
    x: str
    whpk: str


class Keys(Schema):
    """The public keys of signatures that begin with `v1a`, the newest first."""

    keys: list[Key]


class Subscriptions(Schema):
    """A page of the consumer's subscriptions, by name."""

    items: list[Subscription]
    next: str | None


@router.get(
    "/",
    response={200: Subscriptions, **SUBSCRIPTION_ERRORS},
    summary="All subscriptions",
    operation_id="listSubscriptions",
)
def list_(request: HttpRequest, limit: int | None = None, after: str | None = None) -> HttpResponse:
    """Page through the consumer's subscriptions and their states, by name."""
    consumer, limit = _consumer(request), calls.checked_limit(limit, usual=SUBSCRIPTIONS_A_PAGE)
    # PostgreSQL's text holds no NUL: the query would fail.
    if after is not None and "\0" in after:
        raise problems.invalid("after", "is a subscription's name.")
    subscriptions = service.page(consumer, after=after, limit=limit)
    following = None
    if len(subscriptions) == limit:
        query = urlencode({"limit": limit, "after": subscriptions[-1]["name"]})
        following = f"{request.build_absolute_uri(request.path)}?{query}"
    return _json({"items": subscriptions, "next": following})


@router.put(
    "/{name}/",
    response={200: Subscription, 201: Subscription, **SUBSCRIPTION_ERRORS},
    summary="Subscribe",
    operation_id="putSubscription",
)
def put(request: HttpRequest, name: str, payload: spec.SubscriptionSpec) -> HttpResponse:
    """Create or replace a subscription. A repeated call changes nothing."""
    subscription, new = service.put(_consumer(request), name, payload)
    answer = service.describe(subscription, _present())
    if new:
        # Only in the first answer: the token alone must not reveal the secret later.
        answer["secret"] = service.secret_of(subscription)
    return _json(answer, status=201 if new else 200)


@router.get(
    "/{name}/",
    response={200: Subscription, **SUBSCRIPTION_ERRORS},
    summary="One subscription",
    operation_id="getSubscription",
)
def get(request: HttpRequest, name: str) -> HttpResponse:
    """Return a subscription and its state."""
    subscription = service.get(_consumer(request), name)
    if subscription is None:
        raise _unknown()
    return _json(service.describe(subscription, _present()))


@router.delete(
    "/{name}/", response={204: None, **SUBSCRIPTION_ERRORS}, summary="Unsubscribe", operation_id="deleteSubscription"
)
def delete(request: HttpRequest, name: str) -> HttpResponse:
    """End a subscription."""
    if not service.delete(_consumer(request), name):
        raise _unknown()
    return HttpResponse(status=204)


@keys_router.get(
    "/",
    response={200: Keys, **SUBSCRIPTION_ERRORS},
    summary="Public keys",
    auth=consumers.may_see_keys,
    operation_id="getKeys",
)
def keys_(request: HttpRequest) -> HttpResponse:  # noqa: ARG001  ninja passes it
    """Return the public keys. They verify `v1a` signatures, and cannot make any."""
    return _json(signing_keys.published(conf.get().DATABASE))


def _consumer(request: HttpRequest) -> Any:
    consumer = request.auth  # type: ignore[attr-defined]
    # Checked in each call: the grant may be withdrawn while subscriptions exist.
    if not consumer.may_subscribe:
        raise problems.forbidden("This consumer was not granted subscribing.")
    return consumer


def _present() -> Present:
    return feed.present(conf.get().DATABASE)


def _unknown() -> problems.Problem:
    return problems.not_found("There is no subscription of this name.", "name")


def _json(body: dict[str, Any], status: int = 200) -> HttpResponse:
    return HttpResponse(json.dumps(body), content_type="application/json", status=status)
