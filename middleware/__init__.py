"""The middleware that ties changes to the request that made them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from pubsubpull.audit.context import contexts, requests

from . import streams

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from pubsubpull.audit.context.contexts import Context


class RequestMiddleware:
    """Opens a context for each request. A request without changes writes nothing. List it after the authentication."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)
        # Only with the setting ADMIN_HISTORY: under asyncio, Django runs this method of each request in a thread.
        if requests.admin_history():
            self.process_view = self._history

    def _history(self, request: HttpRequest, *_: Any) -> HttpResponseBase | None:
        from pubsubpull.pages import history_for_all

        return history_for_all.answer(request)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Return the response, or under asyncio a coroutine that returns it."""
        if self.is_async:
            return self._call_async(request)
        context = requests.opened(request)
        with contexts.entered(context):
            return _watched(self.get_response(request), context)

    async def _call_async(self, request: HttpRequest) -> HttpResponseBase:
        context = requests.opened(request)
        with contexts.entered(context):
            return _watched(await self.get_response(request), context)


def _watched(response: HttpResponseBase, context: Context) -> HttpResponseBase:
    """Return the response, set up to stream within the context and to record its end."""
    streams.keep(response, context)
    # Closers run after the last byte, and before Django closes its connections. The status is read only then: an outer
    # middleware may still change it.
    response._resource_closers.append(  # type: ignore[attr-defined]
        lambda: requests.finish(context, response.status_code)
    )
    return response
