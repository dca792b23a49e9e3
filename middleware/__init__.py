"""The middleware that ties changes to the request that made them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from pubsubpull.audit.context import context as audit
from pubsubpull.audit.context import requests

from . import streams

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from pubsubpull.audit.context.context import Context


class RequestMiddleware:
    """Opens a context for each request; nothing is written unless a change is. Put it after the authentication."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)
        # Only where it is asked for: under asyncio, each request would pay for being passed to a thread and back.
        if requests.admin_history():
            self.process_view = self._history

    def _history(self, request: HttpRequest, *_: Any) -> HttpResponseBase | None:
        from pubsubpull.pages import history_for_all

        return history_for_all.answer(request)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:  # noqa: D102
        if self.is_async:
            return self._later(request)
        made = requests.opened(request)
        with audit.entered(made):
            return _watched(self.get_response(request), made)

    async def _later(self, request: HttpRequest) -> HttpResponseBase:
        made = requests.opened(request)
        with audit.entered(made):
            return _watched(await self.get_response(request), made)


def _watched(response: HttpResponseBase, made: Context) -> HttpResponseBase:
    """Have the request's end noted when the answer has been sent, and keep the context while it streams."""
    streams.keep(response, made)
    # Closers run after the last byte, and before Django closes its connections. An outer middleware may set the status.
    response._resource_closers.append(  # type: ignore[attr-defined]
        lambda: requests.finish(made, response.status_code)
    )
    return response
