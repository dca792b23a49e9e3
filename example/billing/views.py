"""What billing shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse, JsonResponse
from django.views.decorators.http import require_GET

from example.billing.models import Customer, Item, Order

if TYPE_CHECKING:
    from django.http import HttpRequest


@require_GET
def home(_request: HttpRequest) -> HttpResponse:
    """Say how many rows there are."""
    counts = {model._meta.model_name: model._default_manager.count() for model in (Customer, Order, Item)}
    return JsonResponse({"service": "billing", "rows": counts})
