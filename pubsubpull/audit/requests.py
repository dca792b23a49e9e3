"""HTTP requests as contexts, and how they ended."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from typing import TYPE_CHECKING, Any

from django.db import connections, transaction
from django.utils import functional

from pubsubpull import conf, exceptions
from pubsubpull.audit import context as audit
from pubsubpull.audit import tracing
from pubsubpull.capture import sql, triggers

if TYPE_CHECKING:
    from django.http import HttpRequest

    from pubsubpull.audit.context import Context

logger = logging.getLogger("pubsubpull")


def opened(request: HttpRequest) -> Context:
    """Return the context of a request. Who makes it is read when the first change is written."""
    given = {
        "method": request.method,
        "path": request.path,
        "ip": ip(request),
        "user_agent": request.headers.get("User-Agent"),
        "correlation_id": correlation_id(request),
        **tracing.asked(request),
    }
    return audit.Context(
        id=audit.uuid7(),
        source="http",
        started=time.monotonic(),
        given=audit.clean(given),
        metadata={},
        who=functools.partial(_who, request),
        late=functools.partial(_route, request),
    )


def ip(request: HttpRequest) -> str | None:
    """Return the caller's address: the one that the outermost of one's own proxies saw, never what the caller wrote."""
    try:
        proxies = conf.get().TRUSTED_PROXIES
    except exceptions.SettingsError:  # a system check tells of it; a request must not fail for it
        proxies = 0
    seen = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
    if proxies and len(seen) >= proxies and seen[-proxies]:
        return seen[-proxies]
    return request.META.get("REMOTE_ADDR")


def admin_history() -> bool:
    """Say whether the setting ADMIN_HISTORY is on; a system check tells where it cannot be read."""
    try:
        return conf.get().ADMIN_HISTORY
    except exceptions.SettingsError:
        return False


def correlation_id(request: HttpRequest) -> str | None:
    """Return the id by which other services know this request: X-Request-ID, or the trace id of traceparent."""
    given = request.headers.get("X-Request-ID")
    parts = request.headers.get("traceparent", "").split("-")
    return given or (parts[1] if len(parts) >= 4 and len(parts[1]) == 32 else None)


def finish(at_hand: Context, status: int) -> None:
    """Note the status and the duration of a request, in each database that may hold changes of it."""
    seconds = time.monotonic() - at_hand.started
    for alias in sorted(at_hand.sent):
        if not any(triggers.publications(alias)) or connections[alias].needs_rollback:
            continue
        try:
            _finish(alias, at_hand, status, seconds)
        except Exception as error:  # noqa: BLE001  the answer has gone: nothing may fail for this
            logger.warning("pubsubpull: how request %s ended is not noted: %s", at_hand.id, type(error).__name__)


def _finish(alias: str, at_hand: Context, status: int, seconds: float) -> None:
    who = audit.who(at_hand)
    query = sql.compose(
        "queries/finish_request",
        request=str(at_hand.id),
        status=status,
        seconds=seconds,
        user_id=audit.clean(who.id) if who else None,
        user_name=audit.clean(who.name) if who else None,
    )
    connection = connections[alias]
    found_open = connection.connection is not None
    try:
        sql.run(alias, query)
    finally:
        # The answer may be closed in another thread than wrote, where no one would close a connection.
        if not found_open:
            connection.close()


def _who(request: Any) -> audit.Who | None:
    user = getattr(request, "user", None)
    if not (isinstance(user, functional.LazyObject) and user._wrapped is functional.empty):
        return audit.as_who(user)
    # It is read from a database now. Where that fails, what is open there must live on.
    with contextlib.ExitStack() as stack:
        for connection in connections.all(initialized_only=True):
            if connection.in_atomic_block:
                stack.enter_context(transaction.atomic(using=connection.alias))
        return audit.as_who(user)


def _route(request: HttpRequest) -> dict[str, Any]:
    match = getattr(request, "resolver_match", None)
    return {"route": (match.view_name or match.route) if match else None}
