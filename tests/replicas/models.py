"""Replicas of the shop's models, as another service would have them."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.functions import Now

import pubsubpull


@pubsubpull.replicates("shop.customer", service="shop")
class Customer(models.Model):
    name = models.TextField()
    email = models.TextField(default="")


@pubsubpull.replicates(
    "shop.order",
    service="shop",
    fields={
        "number": "reference",
        "origin": pubsubpull.constant("shop"),
        "version": pubsubpull.VERSION,
        "note": None,
        "priority": None,
        "noticed": None,
    },
)
class Order(models.Model):
    """Renamed, constant and local columns, and a foreign key to another replica."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, null=True)
    number = models.TextField()
    quantity = models.IntegerField()
    total = models.DecimalField(max_digits=12, decimal_places=2)
    status = models.TextField()
    placed = models.DateTimeField(null=True)
    origin = models.TextField()
    version = models.BigIntegerField()
    note = models.TextField(default="mine")
    priority = models.IntegerField(null=True)
    noticed = models.DateTimeField(db_default=Now())


def shout(row: dict[str, Any]) -> Any:
    return row["name"].upper()


@pubsubpull.replicates(
    "shop.customer", service="shop", key=["source_id"], fields={"source_id": "id", "shout": shout, "id": None}
)
class Shout(models.Model):
    """Another replica of the same source: with a key of its own, and a computed column."""

    source_id = models.BigIntegerField(unique=True)
    shout = models.TextField()


@pubsubpull.replicates("shop.order", service="shop", where={"status": ["paid", "sent"]})
class PaidOrder(models.Model):
    """Only some rows."""

    reference = models.TextField()
    status = models.TextField()


@pubsubpull.replicates("shop.order", service="shop", where=lambda row: row["quantity"] > 10)
class BigOrder(models.Model):
    """Only some rows, as a function says."""

    quantity = models.IntegerField()


@pubsubpull.replicates("shop.stock", service="shop")
class Stock(models.Model):
    pk = models.CompositePrimaryKey("warehouse", "article")
    warehouse = models.TextField()
    article = models.IntegerField()
    amount = models.IntegerField(default=0)
