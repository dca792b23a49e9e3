"""The shop's own JSON API. It does not know pubsubpull: its writes are captured all the same."""

from __future__ import annotations

import functools
import json
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from django.db import DataError, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt

from example.shop.models import Customer, Item, Order

if TYPE_CHECKING:
    from collections.abc import Callable

    View = Callable[..., HttpResponse]

CUSTOMER_FIELDS = ("name", "email", "city")
ORDER_FIELDS = ("reference", "status", "internal_note", "card")


def _api(*methods: str) -> Callable[[View], View]:
    """Let users in, with the named methods and a JSON object; answer any other call with its mistake."""

    def decorate(view: View) -> View:
        @csrf_exempt
        @functools.wraps(view)
        def call(request: HttpRequest, **place: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return JsonResponse({"detail": "Send a user's token: Authorization: Bearer …"}, status=401)
            if request.method not in methods:
                return JsonResponse({"detail": f"This takes {', '.join(methods)}."}, status=405)
            try:
                return view(request, **place)
            except (KeyError, ValueError, TypeError, AttributeError, InvalidOperation, DataError) as error:
                return JsonResponse({"detail": f"The body is not what is wanted here: {error!r}"}, status=400)

        return call

    return decorate


@csrf_exempt
def home(_request: HttpRequest) -> HttpResponse:
    """Return the addresses of the API."""
    links = {"customers": "/customers/", "orders": "/orders/", "pubsubpull": "/pubsubpull/"}
    return JsonResponse({"service": "shop", **links})


@_api("POST")
def customers(request: HttpRequest) -> HttpResponse:
    """Create a customer."""
    customer = Customer.objects.create(**_given(json.loads(request.body), CUSTOMER_FIELDS))
    return _created(customer.pk)


@_api("PUT", "DELETE")
def customer(request: HttpRequest, pk: int) -> HttpResponse:
    """Change or delete a customer; the orders go along."""
    return _change(request, get_object_or_404(Customer, pk=pk), CUSTOMER_FIELDS)


@_api("POST")
def orders(request: HttpRequest) -> HttpResponse:
    """Create an order with its items, in one transaction."""
    body = json.loads(request.body)
    items = [
        Item(article=item["article"], quantity=int(item["quantity"]), price=Decimal(item["price"]))
        for item in body.pop("items")
    ]
    with transaction.atomic():
        order = Order.objects.create(
            customer=get_object_or_404(Customer, pk=body["customer"]),
            total=sum((item.quantity * item.price for item in items), Decimal(0)),
            **_given(body, ORDER_FIELDS),
        )
        for item in items:
            item.order = order
        Item.objects.bulk_create(items)
    return _created(order.pk)


@_api("PUT", "DELETE")
def order(request: HttpRequest, pk: int) -> HttpResponse:
    """Change or delete an order; its items go along."""
    return _change(request, get_object_or_404(Order, pk=pk), ORDER_FIELDS)


def _given(body: dict[str, Any], fields: tuple[str, ...]) -> dict[str, str]:
    return {name: str(body[name]) for name in fields if name in body}


def _created(pk: int) -> HttpResponse:
    return JsonResponse({"id": pk}, status=201)


def _change(request: HttpRequest, row: Customer | Order, fields: tuple[str, ...]) -> HttpResponse:
    if request.method == "DELETE":
        row.delete()
    else:
        given = _given(json.loads(request.body), fields)
        for name, value in given.items():
            setattr(row, name, value)
        row.save(update_fields=list(given))
    return HttpResponse(status=204)
