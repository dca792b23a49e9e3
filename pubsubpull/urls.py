"""The URLs of the API: `path("pubsubpull/", include("pubsubpull.urls"))`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from django.urls import URLPattern, re_path

import pubsubpull
from pubsubpull import operate
from pubsubpull.pull import api as pull
from pubsubpull.pull import audit_api, consumers, document, hashes_api, held, limits, problems
from pubsubpull.subscribe import api as subscribe
from pubsubpull.subscribe import failures_api, webhooks

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse


def documented(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Let only those see the documentation whom the setting DOCS names."""

    @functools.wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return consumers.may_see_docs(request) or view(request, *args, **kwargs)

    return wrapped


def nowhere(_request: HttpRequest) -> HttpResponse:
    """Answer for every address below the API that is none."""
    return problems.response(
        problems.not_found(
            "There is nothing at this address. See the API's root for what there is; addresses end in a slash."
        )
    )


nowhere.csrf_exempt = True  # type: ignore[attr-defined]  # it does nothing, whoever asks

api = document.Api(
    title="pubsubpull",
    version=pubsubpull.__version__,
    description="The changes of this service: pulled in pages, or pushed to a callback.",
    auth=consumers.Token(),
    docs_decorator=documented,
    urls_namespace="pubsubpull",
)
api.pushed = webhooks.pushed()
problems.install(api)
api.add_router("", audit_api.router, tags=["audit"])  # its addresses are longer, and so go first
api.add_router("", pull.router, tags=["pull"])
api.add_router("", hashes_api.router, tags=["compare"])
api.add_router("", operate.router, tags=["operate"])
api.add_router("/keys", subscribe.keys_router, tags=["subscribe"])
api.add_router("/subscriptions", subscribe.router, tags=["subscribe"])
api.add_router("/subscriptions", failures_api.router, tags=["subscribe"])

patterns, _, _ = api.urls
for pattern in patterns:
    pattern.callback = problems.as_problems(limits.bounded(pattern.callback))  # type: ignore[arg-type]
    if isinstance(pattern, URLPattern) and str(pattern.pattern) == "changes/":
        pattern.callback = held.held(pattern.callback, api.on_exception)
        pattern.__class__ = held.HeldPattern  # ninja makes the patterns
app_name = "pubsubpull"
urlpatterns = [*patterns, re_path("", nowhere)]
