"""The receiving view: verify a notification, and apply its page as if it had been pulled."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any

from django.db import Error, transaction
from django.http import HttpResponse, JsonResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from pubsubpull import conf, exceptions
from pubsubpull.base.database_errors import is_away
from pubsubpull.base.once import Once
from pubsubpull.capture import clock
from pubsubpull.replica import cohorts, pages, positions, prefetch, services, staging
from pubsubpull.replica.appliers import choose
from pubsubpull.replica.appliers.base import Applied
from pubsubpull.replica.errors import constraint_errors
from pubsubpull.replica.handlers import declare as handlers
from pubsubpull.replica.push import body as notification
from pubsubpull.replica.steps import Steps
from pubsubpull.wire import signing

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from pubsubpull.pull.client import Client
    from pubsubpull.replica.cohorts import Cohort
    from pubsubpull.replica.services import Service

logger = logging.getLogger(__name__)
SUBSCRIPTION_PREFIX = "replica-"
"""The first part of the names of subscriptions for replicas."""
PUSH_BATCH = 1000
"""The most changes of a notification."""
ELSEWHERE = (
    "%s asked for consent under the name %r, but is known as %r: "
    "if the name is right, set it in PUBSUBPULL['SERVICES'][%r]['origin']"
)
refused = Once()
"""The names under which consent was asked for in vain, by service."""
RETRY = "1"
"""The seconds after which the service sends a notification again."""


def subscription_name(sources: list[str]) -> str:
    """Return the name of the subscription for some models."""
    # The name depends on the models: a subscription for other models would lack changes, so it must be another one.
    return SUBSCRIPTION_PREFIX + hashlib.sha256("\n".join(sources).encode()).hexdigest()[:12]


def subscribe(service: Service, callback: str, *, using: str, batch: int = PUSH_BATCH) -> str:
    """Let a service push to the receiving view at the URL `callback`; return the subscription's name.

    The subscription starts at the replicas' cursor, with at most `batch` changes in a notification. Subscriptions of
    earlier declarations are deleted. Raises `ReplicaError` if the replicas have no cursor yet or the settings have no
    secret for the service, and the errors of the client.
    """
    if not service.secrets:
        raise exceptions.ReplicaError(f"PUBSUBPULL['SERVICES'][{service.name!r}] has no secrets to verify pushes with.")
    cohort = _main(service.name, using)
    if cohort is None:
        raise exceptions.ReplicaError(f"The replicas of {service.name} have no rows yet: follow it first.")
    sources = sorted({follows.source for follows in cohorts.of_service(service.name)})
    name = subscription_name(sources)
    with service.client() as client:
        # Subscribe before the old subscriptions are deleted: their receiver gets changes in between.
        client.subscribe(name, callback, sources, after=cohort.cursor, batch=batch, secret=service.secrets[0])
        for other in client.subscriptions():
            if other["name"].startswith(SUBSCRIPTION_PREFIX) and other["name"] != name:
                client.unsubscribe(other["name"])
    return name


# Not atomic: each applied page commits by itself, also under ATOMIC_REQUESTS. The signature replaces the CSRF token.
@method_decorator([csrf_exempt, transaction.non_atomic_requests], name="dispatch")
class Receive(View):
    """Takes notifications: answers 204 once applied, or 409 with the replicas' cursor if the page starts elsewhere."""

    http_method_names = ("put", "options")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer a request; if the database is unavailable, ask for the notification again."""
        try:
            return super().dispatch(request, *args, **kwargs)
        except Error as error:
            logger.warning("A notification could not be applied: %s", type(error).__name__)
            if not is_away(error):
                return _answer(422, "The database refuses a value of this page.")
            return _again("The database is unavailable.")

    # An answer without WebHook-Allowed-Origin denies consent, without telling strangers which services are known.
    def options(self, request: HttpRequest, *_: Any, service: str, **__: Any) -> HttpResponse:
        """Give consent to the notifications of a service in the settings, under its own name only."""
        origin = request.headers.get("WebHook-Request-Origin", "").strip().lower()
        known = services.get(service) if service in services.names() else None
        if not origin or known is None or not known.secrets:
            return HttpResponse(status=204)
        if origin != known.origin:
            # Once: the service asks again and again, and others may ask without a token.
            if refused.is_new(service, f"{origin[:100]} {known.origin}"):
                logger.warning(ELSEWHERE, service, origin[:100], known.origin, service)
            return HttpResponse(status=204)
        return HttpResponse(status=204, headers={"WebHook-Allowed-Origin": origin})

    def put(self, request: HttpRequest, service: str) -> HttpResponse:
        """Verify the notification and apply it."""
        try:
            known = services.get(service)
        except exceptions.ReplicaError:
            return _answer(404, "There is no such service.")
        body = request.read(conf.get().RECEIVE_LIMIT + 1)  # One byte too many tells a body that is too large.
        if len(body) > conf.get().RECEIVE_LIMIT:
            return _answer(413, f"A notification has at most {conf.get().RECEIVE_LIMIT} bytes.")
        headers = {name.lower(): value for name, value in request.headers.items()}
        now = clock.now(conf.get().DATABASE)
        # Before the body is parsed: an unsigned body must cost little.
        if not known.secrets or not signing.verify(known.secrets, headers=headers, body=body, now=now):
            return _answer(401, "The signature is wrong, or too old.")
        try:
            notified = notification.read(body)
        except notification.Malformed as error:
            return _answer(400, f"This is no page of changes. {error}")
        return self._take(known, notified.subscription, notified.page)

    def _take(self, service: Service, name: str, page: pages.Page) -> HttpResponse:
        using = conf.get().DATABASE
        if name != subscription_name(sorted({follows.source for follows in cohorts.of_service(service.name)})):
            # During a deployment, another version of this code may run beside this one, with other models.
            return _again("This subscription has other models than the replicas here.")
        with service.client(timeout=10.0) as client:
            return _apply(service, page, client, using)


def _apply(service: Service, page: pages.Page, client: Client, using: str) -> HttpResponse:
    """Apply a page to all replicas at the cursor before it. A failing replica stays behind, and pulls later."""
    failed: list[str] = []
    moved, unread = False, None
    while cohort := _at(service.name, page.previous, failed, using):
        try:
            outcome = choose.apply_page(cohort, page, further=_puller(service.name, client, cohort), using=using)
            moved = isinstance(outcome, Applied)
            break
        except exceptions.ReplicaFailed as error:
            following = cohorts.following(service.name, using, clock.moment(using), without=failed)
            if constraint_errors.lacks_row(error) and len(following) > 1:
                break  # A replica that is behind may have the missing row, and catches up first, below.
            positions.fail(error, using, clock.moment(using))
            logger.warning("Replica %s: %s", error.name, error.reason)
            unread = unread or (error if isinstance(error.__cause__, staging.Unreadable) else None)
            failed.append(error.name)
        except exceptions.ServiceError as error:
            return _again(f"A further page cannot be pulled: {error}")
    _pull_laggards(service, client, using)
    if moved:
        return HttpResponse(status=204)
    if unread is not None:
        return _answer(422, unread.reason)
    main = _main(service.name, using)
    if main is None or main.cursor == page.previous:
        return _again("No replica can take the page now.")
    return JsonResponse({"cursor": main.cursor}, status=409)


def _puller(service: str, client: Client, cohort: Cohort) -> prefetch.Puller:
    return prefetch.Puller(client=client, sources=tuple(cohort.sources), old=handlers.any_of(service))


def _at(service: str, cursor: str, failed: list[str], using: str) -> Cohort | None:
    following = cohorts.following(service, using, clock.moment(using), without=failed)
    return next((cohort for cohort in following if cohort.cursor == cursor), None)


def _main(service: str, using: str) -> Cohort | None:
    following = cohorts.following(service, using, clock.moment(using))
    return following[0] if following else None


def _pull_laggards(service: Service, client: Client, using: str) -> None:
    """Let replicas that are behind catch up by one page."""
    # Without a follower beside the pushes, nothing else brings them up.
    following = cohorts.following(service.name, using, clock.moment(using))
    if len(following) < 2:
        return
    try:
        Steps(service, using=using).catch_up(following, following[1], client)
    except exceptions.ReplicaFailed as error:
        positions.fail(error, using, clock.moment(using))
    except exceptions.PubSubPullError as error:
        # Swallowed: the page itself was applied, and the next push tries this again.
        logger.warning("%s: replicas that are behind cannot pull: %s", service.name, error)


def _again(detail: str) -> HttpResponse:
    # 503, not 409: the subscription must send the same page again, and not move its cursor.
    answer = _answer(503, detail)
    answer.headers["Retry-After"] = RETRY
    return answer


def _answer(status: int, detail: str) -> HttpResponse:
    return JsonResponse({"detail": detail}, status=status)
