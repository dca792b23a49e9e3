"""The operators' page of a subscription's dead letters: shown, retried, dropped."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from pubsubpull.operate import actions
from pubsubpull.pages import operators as page_
from pubsubpull.subscriptions.models import Failure, Subscription
from pubsubpull.wire import items

if TYPE_CHECKING:
    import uuid

    from django.contrib.admin import AdminSite

DEAD_LETTERS_A_PAGE = 50
"""Dead letters on a page."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A dead letter as the page shows it: without the data of the row."""

    failure: Failure
    key: str | None
    """The key of the change's row."""


def page(request: HttpRequest, site: AdminSite, id_: uuid.UUID, *, may_change: bool) -> HttpResponse:
    """Show the dead letters of a subscription, oldest first."""
    subscription = page_.find(id_)
    letters = Paginator(actions.failures(subscription), DEAD_LETTERS_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "title": f"Dead letters of {subscription.consumer}/{subscription.name}",
        "opts": Subscription._meta,
        "one": subscription,
        "page": letters,
        "rows": [_row(failure) for failure in letters],
        "may_change": may_change,
    }
    return page_.answer(request, site, "failures", context)


def retry(request: HttpRequest, site: AdminSite, id_: uuid.UUID, failure: int) -> tuple[Subscription, HttpResponse]:
    """Have a dead letter sent again by the worker that holds the subscription."""
    subscription = page_.find(id_)
    # Marked, not sent from here: only the holder of the lease sends, and so keeps the order of a key.
    if not actions.failures(subscription, failure).update(retrying=True):
        raise Http404
    messages.success(request, f"Change {failure} is sent again, as soon as a worker holds the subscription.")
    return subscription, _back(site, subscription)


def drop(
    request: HttpRequest, site: AdminSite, id_: uuid.UUID, failure: int
) -> tuple[Subscription | None, HttpResponse]:
    """Ask whether to delete a dead letter. With POST delete it, and return its subscription."""
    subscription = page_.find(id_)
    letter = actions.failures(subscription, failure).first()
    if letter is None:
        raise Http404
    if request.method == "POST":
        letter.delete()
        messages.success(request, f"Change {failure} is dropped: its receiver never gets it.")
        return subscription, _back(site, subscription)
    context: dict[str, Any] = {
        "title": f"Drop a change of {subscription.consumer}/{subscription.name}",
        "opts": Subscription._meta,
        "row": _row(letter),
    }
    return None, page_.answer(request, site, "drop", context)


def _row(failure: Failure) -> Row:
    # The key alone: a user who may see subscriptions need not be allowed to see the rows of the models.
    return Row(failure=failure, key=items.key(failure.item))


def _back(site: AdminSite, one: Subscription) -> HttpResponse:
    return HttpResponseRedirect(reverse(f"{site.name}:pubsubpull_subscription_failures", args=[one.pk]))
