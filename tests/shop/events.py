"""The shop's events."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  pydantic reads the annotations
from decimal import Decimal  # noqa: TC003

import pubsubpull


@pubsubpull.event(key="order", subject="shop.order")
class OrderPlaced:
    order: int
    total: Decimal
    currency: str = "EUR"
    at: dt.datetime | None = None


@pubsubpull.event(key=("order", "line"), version=3)
class LineAdded:
    order: int
    line: int
    quantity: int
    unit: str


@LineAdded.upcast(1)
def _(data):
    return data | {"quantity": data.pop("count")}


@LineAdded.upcast(2)
def _(data):
    return data | {"unit": "piece"}
