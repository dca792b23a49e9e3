"""The History page for every published model, by the setting ADMIN_HISTORY.

Models may be registered with any admin site, before or after this app is ready. The page therefore replaces Django's
own view once a request has been resolved, and replaces no other view.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin import ModelAdmin
from django.contrib.admin.utils import unquote
from django.urls import Resolver404, resolve

from pubsubpull.audit.history import targets
from pubsubpull.capture import registry
from pubsubpull.pages import restoring, views

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase
    from django.urls import ResolverMatch

RESTORE = "restore/"


def answer(request: HttpRequest) -> HttpResponseBase | None:
    """Answer a request for an object's history or one of its subpages; return None for any other request."""
    match = request.resolver_match
    if match is None or "admin" not in match.app_names:
        return None
    restores = request.path_info.endswith(f"/history/{RESTORE}")
    above = _above(request) if restores else match
    admin = None if above is None else _admin(above)
    # A view that a project has written itself stays.
    if above is None or admin is None or type(admin).history_view is not ModelAdmin.history_view:
        return None
    if registry.get(targets.label(admin.model)) is None:
        return None
    key = unquote(above.kwargs["object_id"])

    def view(request: HttpRequest) -> Any:
        return (restoring.object_restore if restores else views.object_history)(request, admin, key)

    # `admin_view` checks that the user is logged in and may use the site, as for the view that is replaced.
    response: HttpResponseBase = admin.admin_site.admin_view(view)(request)
    return response


def _above(request: HttpRequest) -> ResolverMatch | None:
    """Return the match of the history page above the page that restores, which Django's admin does not know."""
    try:
        return resolve(request.path_info.removesuffix(RESTORE), getattr(request, "urlconf", None))
    except Resolver404:
        return None


def _admin(match: ResolverMatch) -> ModelAdmin[Any] | None:
    """Return the admin whose history an address shows; None for any other address."""
    # Django's admin sets this attribute on each of its views.
    admin = getattr(match.func, "model_admin", None)
    if not isinstance(admin, ModelAdmin):
        return None
    mine = f"{admin.opts.app_label}_{admin.opts.model_name}_history"
    return admin if match.url_name == mine else None
