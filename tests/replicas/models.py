"""Replicas of the shop's models, as another service would have them."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import (
    ArrayField,
    BigIntegerRangeField,
    DateRangeField,
    DateTimeRangeField,
    DecimalRangeField,
    IntegerRangeField,
)
from django.db import models
from django.db.models.functions import Cast, Now

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


@pubsubpull.publish
class SeatSource(models.Model):
    """A unique value that rows may hand on."""

    number = models.IntegerField(unique=True)


@pubsubpull.replicates("replicas.seatsource", service="shop")
class Seat(models.Model):
    number = models.IntegerField(unique=True)


class Kinds(models.Model):
    """A column of each type that Django knows on PostgreSQL."""

    big = models.BigIntegerField(null=True)
    binary = models.BinaryField(null=True)
    boolean = models.BooleanField(null=True)
    char = models.CharField(max_length=300, null=True)
    date = models.DateField(null=True)
    datetime = models.DateTimeField(null=True)
    decimal = models.DecimalField(max_digits=40, decimal_places=20, null=True)
    duration = models.DurationField(null=True)
    floating = models.FloatField(null=True)
    integer = models.IntegerField(null=True)
    ip = models.GenericIPAddressField(null=True)
    json = models.JSONField(null=True)
    small = models.SmallIntegerField(null=True)
    text = models.TextField(null=True)
    time = models.TimeField(null=True)
    uuid = models.UUIDField(null=True)
    texts = ArrayField(models.TextField(null=True), null=True)
    matrix = ArrayField(ArrayField(models.IntegerField(null=True)), null=True)
    integers = IntegerRangeField(null=True)
    bigs = BigIntegerRangeField(null=True)
    decimals = DecimalRangeField(null=True)
    datetimes = DateTimeRangeField(null=True)
    dates = DateRangeField(null=True)
    twice = models.GeneratedField(
        expression=Cast("integer", models.BigIntegerField()) * 2, output_field=models.BigIntegerField(), db_persist=True
    )

    class Meta:
        abstract = True


@pubsubpull.publish
class KindsSource(Kinds):
    pass


@pubsubpull.replicates("replicas.kindssource", service="shop")
class KindsCopy(Kinds):
    pass


class Spot(models.Model):
    """Follows the source that a test declares."""

    name = models.TextField()
    gone_at = models.DateTimeField(null=True)
    is_gone = models.BooleanField(default=False)
    loud = models.JSONField(null=True)


class Note(models.Model):
    """The rows that a handler writes."""

    text = models.TextField()
