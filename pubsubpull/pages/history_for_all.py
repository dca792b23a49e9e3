"""The History page for every published model, by the setting ADMIN_HISTORY: whenever and wherever it is registered.

Which view an address of the admin has is known when a request has been resolved, and not before: models may be
registered with any site, before or after this app is ready. So the page is put in place then, and of Django's own view
only.
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
    if above is None or admin is None or type(admin).history_view is not ModelAdmin.history_view:
        return None
    if registry.get(targets.label(admin.model)) is None:
        return None
    key = unquote(above.kwargs["object_id"])

    def view(request: HttpRequest) -> Any:
        return (restoring.object_restore if restores else views.object_history)(request, admin, key)

    made: HttpResponseBase = admin.admin_site.admin_view(view)(request)
    return made


def _above(request: HttpRequest) -> ResolverMatch | None:
    """Return the history page above the page of restoring, which Django's admin does not know."""
    try:
        return resolve(request.path_info.removesuffix(RESTORE), getattr(request, "urlconf", None))
    except Resolver404:
        return None


def _admin(match: ResolverMatch) -> ModelAdmin[Any] | None:
    """Return the admin whose history an address shows; None if it shows none."""
    admin = getattr(match.func, "model_admin", None)  # Django's admin notes it at each of its views
    if not isinstance(admin, ModelAdmin):
        return None
    mine = f"{admin.opts.app_label}_{admin.opts.model_name}_history"
    return admin if match.url_name == mine else None
