"""Django's admin: the log, the operators' page, and a History page for models that ask for it with `HistoryMixin`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseNotAllowed
from django.urls import path

from pubsubpull import conf, exceptions
from pubsubpull.audit.history import targets
from pubsubpull.capture import registry
from pubsubpull.log import resend
from pubsubpull.log.models import Change
from pubsubpull.pages import dead_letters, operators, restoring, sight, views
from pubsubpull.subscriptions.models import Subscription

if TYPE_CHECKING:
    import uuid

    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse
    from django.urls import URLPattern

    Base = admin.ModelAdmin[Any]
    ChangeBase = admin.ModelAdmin[Change]
    SubscriptionBase = admin.ModelAdmin[Subscription]
else:
    Base = object
    ChangeBase = SubscriptionBase = admin.ModelAdmin


@admin.action(description="Send again to all readers of changes", permissions=["change"])
def send_again(model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> None:
    """Put the chosen rows into the log once more: an action for the admin of any published model."""
    try:
        if queryset.count() > model_admin.send_at_once:
            most = f"{model_admin.send_at_once:,}"
            text = f"Nothing was sent: choose up to {most} rows, or use the command pubsubpull_resend."
            model_admin.message_user(request, text, messages.ERROR)
            return
        count = resend.resend(queryset, using=conf.get().DATABASE)
    except (exceptions.PublicationError, exceptions.ProtectionError) as error:
        model_admin.message_user(request, f"Nothing was sent. {error}", messages.ERROR)
        return
    model_admin.message_user(request, f"{count:,} changes are in the log once more.", messages.SUCCESS)


class HistoryMixin(Base):
    """Puts the log's history in place of Django's, and sends again: `class OrderAdmin(HistoryMixin, ModelAdmin)`."""

    send_at_once = 5000
    """The most rows that the action sends again within one request."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Add the action that sends rows again, if the user may change them."""
        actions = super().get_actions(request)
        shown = self.actions is not None and IS_POPUP_VAR not in request.GET
        if shown and registry.get(targets.label(self.model)) is not None and self.has_change_permission(request):
            actions["send_again"] = self.get_action(send_again)
        return actions

    def get_urls(self) -> list[URLPattern]:
        """Add the page that restores."""
        view = self.admin_site.admin_view(self.restore_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_restore"
        return [path("<path:object_id>/history/restore/", view, name=name), *super().get_urls()]

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Show an object's history; for a model that is not published, Django's own page."""
        if registry.get(targets.label(self.model)) is None:
            return super().history_view(request, object_id, extra_context)
        return views.object_history(request, self, unquote(object_id))  # type: ignore[return-value]  # or a stream

    def has_full_history_permission(self, request: HttpRequest) -> bool:
        """True if a user may see the histories of all rows, deleted rows included.

        False if `get_queryset` leaves rows out for the user. Override the method to decide otherwise.
        """
        return not sight.is_narrowed(request, self)

    def restore_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Restore a version, after showing the differences."""
        return restoring.object_restore(request, self, unquote(object_id))


@admin.register(Change)
class ChangeAdmin(ChangeBase):
    """The log: to be looked at, and by nobody to be changed."""

    def get_urls(self) -> list[URLPattern]:
        """Return the URLs of the log's page and of a request's page; none that changes anything."""
        wrap = self.admin_site.admin_view
        return [
            path("", wrap(self.changelist_view), name="pubsubpull_change_changelist"),
            path("requests/<uuid:request_id>/", wrap(self.request_view), name="pubsubpull_request"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:  # noqa: ARG002  Django's
        """Show the log."""
        self._check(request)
        return views.log_page(request, self.admin_site)  # type: ignore[return-value]  # or a stream

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
        """True if a user may see the log. Its entries also need the permission of their own models."""
        return request.user.has_perm("pubsubpull.view_change")

    def _check(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied


@admin.register(Subscription)
class SubscriptionAdmin(SubscriptionBase):
    """The operators' page: subscriptions are seen, paused, resumed, enabled, retried and rewound here, and no more."""

    def get_urls(self) -> list[URLPattern]:
        """Return the page, its buttons' addresses, and none of Django's own."""
        wrap = self.admin_site.admin_view
        return [
            path("", wrap(self.changelist_view), name="pubsubpull_subscription_changelist"),
            path("<uuid:id_>/rewind/", wrap(self.rewind_view), name="pubsubpull_subscription_rewind"),
            path("<uuid:id_>/failures/", wrap(self.failures_view), name="pubsubpull_subscription_failures"),
            path("<uuid:id_>/failures/<int:failure>/retry/", wrap(self.retry_view), name="pubsubpull_failure_retry"),
            path("<uuid:id_>/failures/<int:failure>/drop/", wrap(self.drop_view), name="pubsubpull_failure_drop"),
            *(
                path(
                    f"<uuid:id_>/{action}/",
                    wrap(self.act_view),
                    {"action": action},
                    f"pubsubpull_subscription_{action}",
                )
                for action in operators.BUTTONS
            ),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:  # noqa: ARG002  Django's
        """Show everything."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return operators.page(request, self.admin_site, may_change=self.has_change_permission(request))

    def act_view(self, request: HttpRequest, id_: uuid.UUID, action: str) -> HttpResponse:
        """Do the action of a button."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        subscription, answer = operators.act(request, self.admin_site, id_, action)
        if subscription is not None:
            self.log_change(request, subscription, action)
        return answer

    def rewind_view(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        """Ask where a subscription is to go on from, and have it do so."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        subscription, answer = operators.rewind(request, self.admin_site, id_)
        if subscription is not None:
            self.log_change(request, subscription, "rewind")
        return answer

    def failures_view(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        """Show the dead letters."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return dead_letters.page(request, self.admin_site, id_, may_change=self.has_change_permission(request))

    def retry_view(self, request: HttpRequest, id_: uuid.UUID, failure: int) -> HttpResponse:
        """Have a change that is set aside sent again."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        one, answer = dead_letters.retry(request, self.admin_site, id_, failure)
        self.log_change(request, one, f"retry change {failure}")
        return answer

    def drop_view(self, request: HttpRequest, id_: uuid.UUID, failure: int) -> HttpResponse:
        """Ask whether a change that is set aside is to be dropped, and drop it."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        subscription, answer = dead_letters.drop(request, self.admin_site, id_, failure)
        if subscription is not None:
            self.log_change(request, subscription, f"drop change {failure}")
        return answer

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002  Django's
        """Consumers make subscriptions, by the API."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Subscription | None = None) -> bool:  # noqa: ARG002
        """Consumers end them, too."""
        return False
