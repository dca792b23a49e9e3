"""Customers, orders and their items: published, so that other services can follow them. Tokens are private."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

import pubsubpull


@pubsubpull.publish
class Customer(models.Model):
    name = models.TextField()
    email = models.TextField(default="")
    city = models.TextField(default="", db_default="")
    joined = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


@pubsubpull.publish(exclude=["internal_note"], mask=["card"])
class Order(models.Model):
    """The note never reaches the change log; of the card, only that it is there."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="orders")
    reference = models.TextField()
    status = models.TextField(default="new", db_default="new")
    total = models.DecimalField(max_digits=12, decimal_places=2, default=0, db_default=0)
    placed = models.DateTimeField(db_default=Now())
    internal_note = models.TextField(default="", db_default="")
    card = models.TextField(default="", db_default="")

    def __str__(self) -> str:
        return self.reference


@pubsubpull.publish
class Item(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="items")
    article = models.TextField()
    quantity = models.IntegerField(default=1)
    price = models.DecimalField(max_digits=12, decimal_places=2)

    def __str__(self) -> str:
        return f"{self.quantity} x {self.article}"


class Token(models.Model):
    """Lets a user in over HTTP. Only the hash is kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    digest = models.TextField(unique=True)

    def __str__(self) -> str:
        return f"a token of {self.user}"
