"""Billing's pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Case, When
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from example.billing.models import Customer, Item, Order

if TYPE_CHECKING:
    from django.http import HttpRequest


LATEST = 12
"""How many orders the page shows."""


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Show the orders as they come: a page that asks for `rows` twice a second."""
    return render(request, "billing/home.html")


@require_GET
def rows(request: HttpRequest) -> HttpResponse:
    """Return the numbers of rows and the latest orders; the order that `order` names comes first."""
    counts = {model._meta.model_name: model._default_manager.count() for model in (Customer, Order, Item)}
    asked = request.GET.get("order", "")
    watched = int(asked) if asked.isdecimal() and len(asked) < 10 else 0
    first = Case(When(pk=watched, then=0), default=1)
    latest = Order.objects.select_related("customer").order_by(first, "-pk")[:LATEST]
    orders = [
        {
            "id": order.pk,
            "reference": order.reference,
            "customer": order.customer.name,
            "status": order.status,
            "total": str(order.total),
        }
        for order in latest
    ]
    return JsonResponse({"service": "billing", "rows": counts, "orders": orders})
