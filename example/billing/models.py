"""Copies of the shop's rows, each with the version that it is of; and how far they have got.

The copies have the shop's keys and no foreign keys: what they hold is the shop's business, they only follow.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Copy(models.Model):
    id = models.BigIntegerField(primary_key=True)
    version = models.BigIntegerField()

    class Meta:
        abstract = True


class Customer(Copy):
    name = models.TextField()
    email = models.TextField()
    city = models.TextField()
    joined = models.DateTimeField()


class Order(Copy):
    customer_id = models.BigIntegerField(db_index=True)
    reference = models.TextField()
    status = models.TextField()
    total = models.DecimalField(max_digits=12, decimal_places=2)
    placed = models.DateTimeField()
    card = models.TextField()


class Item(Copy):
    order_id = models.BigIntegerField(db_index=True)
    article = models.TextField()
    quantity = models.IntegerField()
    price = models.DecimalField(max_digits=12, decimal_places=2)


class Source(models.Model):
    """A service that is followed: up to where (its cursor), and the secret that its notifications are signed with."""

    name = models.TextField(primary_key=True)
    cursor = models.TextField()
    secret = models.TextField()


class Page(models.Model):
    """A page that was applied, of `instances` or of `changes`: what it brought, and when. Kept to measure by."""

    kind = models.TextField()
    size = models.IntegerField()
    versions = ArrayField(models.BigIntegerField())
    applied = models.DateTimeField(db_default=Now())
