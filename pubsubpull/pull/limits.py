"""Limits of a caller: requests a second, and the size of a body."""

from __future__ import annotations

import functools
import logging
import math
from typing import TYPE_CHECKING, Any

from django.core.cache import caches

from pubsubpull import conf
from pubsubpull.capture import clock
from pubsubpull.pull import problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

    from pubsubpull.pull.models import Consumer

WINDOW = 10
"""Seconds over which requests are counted."""

logger = logging.getLogger("pubsubpull")


def check_rate(consumer: Consumer, *, now: float | None = None) -> None:
    """Count a request; raise a problem if the consumer has made too many. Processes with one cache count together."""
    settings = conf.get()
    # The database's clock, which all processes share: each would count in a window of its own otherwise.
    now = clock.now(settings.DATABASE) if now is None else now
    most = settings.REQUEST_RATE * WINDOW
    if _count(settings.CACHE, f"pubsubpull:requests:{consumer.pk}:{int(now // WINDOW)}") <= most:
        return
    raise problems.Problem(
        status=429,
        type="too-many-requests",
        title="Too many requests",
        detail=f"A consumer may make {most:g} requests in {WINDOW} seconds.",
        headers={"Retry-After": str(math.ceil(WINDOW - now % WINDOW))},
    )


def _count(alias: str, key: str) -> int:
    """Count one request, and return the number in the window; 0 if the cache does not answer."""
    try:
        cache = caches[alias]
        # `add` and `incr` are each atomic: processes that count together lose no request.
        cache.add(key, 0, timeout=2 * WINDOW)
        return cache.incr(key)
    # `incr` found no counter: the cache stores nothing (as Django's dummy cache), or has just evicted it.
    except ValueError:
        return 0
    # Swallowed: without a cache the service answers, only without limits.
    except Exception as error:  # noqa: BLE001  each cache has its own errors
        logger.warning("pubsubpull: requests are not counted, as the cache does not answer: %s", type(error).__name__)
        return 0


def bounded(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Wrap a view so that a body that is too large, or does not say how large it is, is refused before it is read."""

    @functools.wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        limit = conf.get().BODY_LIMIT
        length = request.headers.get("Content-Length") or "0"
        # A chunked body names no length, and would be read whole before it could be refused.
        endless = "Transfer-Encoding" in request.headers and "Content-Length" not in request.headers
        if endless or not length.isdecimal() or int(length) > limit:
            return problems.response(
                problems.Problem(
                    status=413,
                    type="too-large",
                    title="Too large",
                    detail=f"A body may have {limit} bytes, and its Content-Length must say how many it has.",
                )
            )
        return view(request, *args, **kwargs)

    return wrapped
