"""The operators' page, and the actions of its buttons."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from pubsubpull import conf, exceptions
from pubsubpull.base import times
from pubsubpull.capture import clock
from pubsubpull.log import feed, partitions
from pubsubpull.operate import actions
from pubsubpull.pages import state
from pubsubpull.subscriptions import lag
from pubsubpull.subscriptions.models import Subscription

if TYPE_CHECKING:
    import uuid

    from django.contrib.admin import AdminSite

BUTTONS = {
    "pause": actions.pause,
    "resume": actions.resume,
    "enable": actions.enable,
    "retry": actions.retry,
}
REFRESH = 10
"""Seconds after which the page fetches itself."""


class RewindForm(forms.Form):
    """The position to rewind a subscription to."""

    POSITIONS = (
        ("moment", "a moment: everything since then is sent again"),
        ("start", "the beginning of what the log keeps"),
        ("now", "now: changes that were not sent yet are never sent"),
        ("cursor", "a cursor that its receiver has kept"),
    )
    position = forms.ChoiceField(choices=POSITIONS, widget=forms.RadioSelect, label="Go on from", initial="moment")
    moment = forms.DateTimeField(
        required=False,
        label="Moment",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    cursor = forms.CharField(required=False, label="Cursor")

    def clean(self) -> dict[str, Any]:
        """Require the field that the chosen position needs."""
        cleaned = super().clean() or {}
        position = cleaned.get("position")
        # A field with an error of its own, as a moment that is no time, needs no second one.
        if position in {"moment", "cursor"} and not cleaned.get(position) and position not in self.errors:
            self.add_error(position, f"Say which {position}.")
        return cleaned

    @property
    def to(self) -> str | dt.datetime:
        """The argument of `actions.rewind`."""
        position = self.cleaned_data["position"]
        target: str | dt.datetime = self.cleaned_data[position] if position in {"moment", "cursor"} else position
        # A browser's input of a time has no zone: it is meant as the page shows times.
        naive = isinstance(target, dt.datetime) and timezone.is_naive(target)
        return timezone.make_aware(target) if naive else target  # type: ignore[arg-type]


def page(request: HttpRequest, site: AdminSite, *, may_change: bool) -> HttpResponse:
    """Show the state of subscriptions, tables and workers."""
    query = request.GET
    # Before int(), which also reads other scripts' digits, and fails for thousands of them.
    number = query.get("page", "")
    asked = state.Asked(
        state=query.get("state", "") if query.get("state") in Subscription.State.values else "",
        text=query.get("q", "").strip(),
        page=max(int(number), 1) if number.isascii() and number.isdigit() and len(number) < 6 else 1,
    )
    current = state.read(conf.get(), asked, now=clock.moment(conf.get().DATABASE))
    context = {
        "title": "Subscriptions and tables",
        "opts": Subscription._meta,
        "state": current,
        "may_change": may_change,
        "refresh": REFRESH,
        "query": request.GET.urlencode(),
        "earlier": _query(request, current.asked.page - 1) if current.asked.page > 1 else None,
        "later": _query(request, current.asked.page + 1) if current.asked.page < current.pages else None,
    }
    return answer(request, site, "operators", context)


def act(request: HttpRequest, site: AdminSite, id_: uuid.UUID, action: str) -> tuple[Subscription | None, HttpResponse]:
    """Do the action of a button; return the subscription (None if it failed) and the redirect that follows."""
    subscription = find(id_)
    try:
        changed = BUTTONS[action](subscription)
    except exceptions.SubscriptionError as error:
        messages.error(request, f"Subscription {subscription.consumer}/{subscription.name}: {error.reason}")
        return None, _back(request, site)
    messages.success(request, f"Subscription {subscription.consumer}/{subscription.name} is {changed.state}.")
    return subscription, _back(request, site)


def rewind(request: HttpRequest, site: AdminSite, id_: uuid.UUID) -> tuple[Subscription | None, HttpResponse]:
    """Ask for the position to rewind a subscription to. With POST rewind it, and return it."""
    subscription, using = find(id_), conf.get().DATABASE
    form = RewindForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            actions.rewind(subscription, form.to)
        except exceptions.SubscriptionError as error:
            form.add_error("cursor", error.reason)
        except exceptions.CursorExpired as error:
            form.add_error("cursor", str(error))
        else:
            messages.success(request, f"Subscription {subscription.consumer}/{subscription.name} goes on from there.")
            return subscription, _back(request, site)
    present = feed.present(using)
    oldest = partitions.oldest(present, using)
    context = {
        "title": f"Rewind {subscription.consumer}/{subscription.name}",
        "opts": Subscription._meta,
        "one": subscription,
        "form": form,
        "lag": lag.of([subscription], present, using)[0],
        "oldest": None if oldest is None else times.moment(oldest),
        "zone": timezone.get_current_timezone_name(),
        "query": request.GET.urlencode(),
    }
    return None, answer(request, site, "rewind", context)


def find(id_: uuid.UUID) -> Subscription:
    """Return a subscription. Raises `Http404`."""
    subscription = Subscription.objects.using(conf.get().DATABASE).select_related("consumer").filter(pk=id_).first()
    if subscription is None:
        raise Http404
    return subscription


def _back(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Return a redirect to the page, with its filter."""
    path = reverse(f"{site.name}:pubsubpull_subscription_changelist")
    return HttpResponseRedirect(f"{path}?{request.GET.urlencode()}" if request.GET else path)


def _query(request: HttpRequest, number: int) -> str:
    query = request.GET.copy()
    query["page"] = str(number)
    return query.urlencode()


def answer(request: HttpRequest, site: AdminSite, name: str, context: dict[str, Any]) -> HttpResponse:
    """Return one of the operators' pages."""
    setattr(request, "current_app", site.name)  # noqa: B010  Django reads it, its types do not know it
    return TemplateResponse(request, f"pubsubpull/{name}.html", {**site.each_context(request), **context})
