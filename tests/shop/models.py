"""Models of every kind that can be published."""

from __future__ import annotations

from django.db import models

import pubsubpull


@pubsubpull.publish
class Customer(models.Model):
    name = models.TextField()
    email = models.TextField(default="")


class Tag(models.Model):
    name = models.TextField()


@pubsubpull.publish(exclude=["internal_note"], mask=["card"])
class Order(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, null=True)
    reference = models.TextField(default="")
    quantity = models.IntegerField(default=1)
    total = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    status = models.TextField(default="new")
    placed = models.DateTimeField(null=True)
    internal_note = models.TextField(default="")
    card = models.TextField(default="")
    tags = models.ManyToManyField(Tag)


class PaidOrder(Order):
    class Meta:
        proxy = True


@pubsubpull.publish
class Place(models.Model):
    name = models.TextField()


@pubsubpull.publish
class Restaurant(Place):
    seats = models.IntegerField(default=0)


@pubsubpull.publish
class Stock(models.Model):
    """A composite key."""

    pk = models.CompositePrimaryKey("warehouse", "article")
    warehouse = models.TextField()
    article = models.IntegerField()
    amount = models.IntegerField(default=0)


@pubsubpull.publish
class Quoted(models.Model):
    """Names that need quotes: a schema, a table and columns of mixed case, with spaces and an apostrophe."""

    id = models.AutoField(primary_key=True, db_column="The Id")
    value = models.TextField(db_column="it's The Value")

    class Meta:
        db_table = '"Other Schema"."The Table"'


@pubsubpull.publish
class Event(models.Model):
    """A partitioned table, made by hand."""

    pk = models.CompositePrimaryKey("region", "number")
    region = models.TextField()
    number = models.IntegerField()
    text = models.TextField(default="")

    class Meta:
        managed = False
        db_table = "shop_event"


@pubsubpull.publish
class Account(models.Model):
    """A table with a row trigger of its own user's: an insert into it updates the same row."""

    owner = models.TextField()
    number = models.TextField(default="")


class Secret(models.Model):
    """Not published."""

    text = models.TextField()


pubsubpull.publish(Order.tags.through)
