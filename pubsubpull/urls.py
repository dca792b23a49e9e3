"""The URLs of the API: `path("pubsubpull/", include("pubsubpull.urls"))`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from django.urls import URLPattern, re_path

import pubsubpull
from pubsubpull.operate import api as operate
from pubsubpull.pull import consumers, held_calls, limits, problems
from pubsubpull.pull.api import audit, changes, hashes, openapi
from pubsubpull.pull.api import pages as pull
from pubsubpull.subscriptions import api as subscriptions
from pubsubpull.subscriptions import dead_letters_api
from pubsubpull.subscriptions import openapi as pushed

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse


def documented(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Restrict the documentation to the audience that the setting DOCS names."""

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


nowhere.csrf_exempt = True  # type: ignore[attr-defined]  # it does nothing for any caller

api = openapi.Api(
    title="pubsubpull",
    version=pubsubpull.__version__,
    description="The changes of this service: pulled in pages, or pushed to a callback.",
    auth=consumers.Token(),
    docs_decorator=documented,
    urls_namespace="pubsubpull",
)
api.pushed = pushed.pushed()
problems.install(api)
api.add_router("", audit.router, tags=["audit"])  # its addresses are longer, and so go first
api.add_router("", pull.router, tags=["pull"])
api.add_router("", changes.router, tags=["pull"])
api.add_router("", hashes.router, tags=["compare"])
api.add_router("", operate.router, tags=["operate"])
api.add_router("/keys", subscriptions.keys_router, tags=["subscribe"])
api.add_router("/subscriptions", subscriptions.router, tags=["subscribe"])
api.add_router("/subscriptions", dead_letters_api.router, tags=["subscribe"])

patterns, _, _ = api.urls
for pattern in patterns:
    pattern.callback = problems.as_problems(limits.bounded(pattern.callback))  # type: ignore[arg-type]
    if isinstance(pattern, URLPattern) and str(pattern.pattern) == "changes/":
        pattern.callback = held_calls.held(pattern.callback, api.on_exception)
        pattern.__class__ = held_calls.HeldPattern  # ninja makes the patterns
app_name = "pubsubpull"
urlpatterns = [*patterns, re_path("", nowhere)]
