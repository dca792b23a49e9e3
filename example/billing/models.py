"""The shop's customers, orders and items as billing has them: replicas, which pubsubpull keeps equal to the shop's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

import pubsubpull

if TYPE_CHECKING:
    from pubsubpull.pull.client import Change


@pubsubpull.replicates("shop.customer", service="shop")
class Customer(models.Model):
    name = models.TextField()
    email = models.TextField()
    city = models.TextField()
    joined = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


@pubsubpull.replicates("shop.order", service="shop")
class Order(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
    reference = models.TextField()
    status = models.TextField()
    total = models.DecimalField(max_digits=12, decimal_places=2)
    placed = models.DateTimeField()
    card = models.TextField()

    def __str__(self) -> str:
        return self.reference


@pubsubpull.replicates("shop.item", service="shop")
class Item(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE)
    article = models.TextField()
    quantity = models.IntegerField()
    price = models.DecimalField(max_digits=12, decimal_places=2)

    def __str__(self) -> str:
        return f"{self.quantity} x {self.article}"


class Arrival(models.Model):
    """The changes that came together, by their versions: kept to prove that each came once, and to measure when."""

    versions = ArrayField(models.BigIntegerField())
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{len(self.versions)} changes"


@pubsubpull.on_change("shop.customer", together=True)
@pubsubpull.on_change("shop.order", together=True)
@pubsubpull.on_change("shop.item", together=True)
def arrived(changes: list[Change]) -> None:
    """Record the applied changes, in the transaction that applies them."""
    Arrival.objects.create(versions=[change.version for change in changes])
