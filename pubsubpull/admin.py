"""Django's admin: the log, and a History page for models that ask for it with `HistoryMixin`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.urls import path

from pubsubpull.audit import history
from pubsubpull.capture import registry
from pubsubpull.capture.models import Change
from pubsubpull.pages import views

if TYPE_CHECKING:
    import uuid

    from django.http import HttpRequest, HttpResponse
    from django.urls import URLPattern

    Base = admin.ModelAdmin[Any]
    ChangeBase = admin.ModelAdmin[Change]
else:
    Base = object
    ChangeBase = admin.ModelAdmin


class HistoryMixin(Base):
    """Puts the log's history in place of Django's own: `class OrderAdmin(HistoryMixin, ModelAdmin)`."""

    def get_urls(self) -> list[URLPattern]:
        """Add the page that restores."""
        view = self.admin_site.admin_view(self.restore_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_restore"
        return [path("<path:object_id>/history/restore/", view, name=name), *super().get_urls()]

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Show an object's history; one that is not published has Django's own."""
        if registry.get(history.label(self.model)) is None:
            return super().history_view(request, object_id, extra_context)
        return views.object_history(request, self, unquote(object_id))

    def restore_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Restore a version, after showing what that would change."""
        return views.object_restore(request, self, unquote(object_id))


@admin.register(Change)
class ChangeAdmin(ChangeBase):
    """The log: to be looked at, and by nobody to be changed."""

    def get_urls(self) -> list[URLPattern]:
        """Return the log's page and that of a request, and none of those that change anything."""
        wrap = self.admin_site.admin_view
        return [
            path("", wrap(self.changelist_view), name="pubsubpull_change_changelist"),
            path("requests/<uuid:request_id>/", wrap(self.request_view), name="pubsubpull_request"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:  # noqa: ARG002  Django's
        """Show the log."""
        self._check(request)
        return views.log_page(request, self.admin_site)

    def request_view(self, request: HttpRequest, request_id: uuid.UUID) -> HttpResponse:
        """Show a request."""
        self._check(request)
        return views.request_page(request, self.admin_site, request_id)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002  Django's
        """Nobody adds to the log."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Change | None = None) -> bool:  # noqa: ARG002
        """Nobody changes the log."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Change | None = None) -> bool:  # noqa: ARG002
        """Nobody deletes from the log."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Change | None = None) -> bool:  # noqa: ARG002
        """Say whether a user may see the log; what is in it takes each model's own permission besides."""
        return request.user.has_perm("pubsubpull.view_change")

    def _check(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied
