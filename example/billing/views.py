"""Where the shop's notifications arrive."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from django.db import DataError
from django.http import HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods

from example.billing import receive
from example.billing.models import Customer, Item, Order, Source
from pubsubpull.subscribe import signing

if TYPE_CHECKING:
    from django.http import HttpRequest


@csrf_exempt
@require_http_methods(["PUT"])
def changes(request: HttpRequest) -> HttpResponse:
    """Apply a notification: 204 when done, 409 with our cursor when it does not go on from there."""
    source = Source.objects.filter(name=receive.SOURCE).first()
    if source is None:
        return HttpResponse(status=410)  # not followed (any more)
    headers = {name.lower(): value for name, value in request.headers.items()}
    if not signing.verify([source.secret], headers=headers, body=request.body, now=time.time()):
        return JsonResponse({"detail": "The signature is wrong, or too old."}, status=401)
    try:
        gap = receive.apply(request.body.decode())
    except (ValueError, KeyError, TypeError, DataError) as error:
        return JsonResponse({"detail": f"This is no page of changes: {error!r}"}, status=400)
    if gap:
        return JsonResponse({"cursor": gap.cursor}, status=409)
    return HttpResponse(status=204)


@require_GET
def home(_request: HttpRequest) -> HttpResponse:
    """Say how many copies there are."""
    counts = {model._meta.model_name: model.objects.count() for model in (Customer, Order, Item)}
    return JsonResponse({"service": "billing", "copies": counts})
