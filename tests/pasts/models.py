"""Models that another package keeps the past of: each as the one after it, but for that."""

from __future__ import annotations

import pghistory
from django.db import models
from simple_history.models import HistoricalRecords

import pubsubpull


class Group(models.Model):
    name = models.TextField()


class Row(models.Model):
    """Columns of the usual kinds."""

    name = models.CharField(max_length=50)
    group = models.ForeignKey(Group, null=True, on_delete=models.SET_NULL)
    amount = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    count = models.IntegerField(default=0, db_column="The Count")
    good = models.BooleanField(default=True)
    due = models.DateTimeField(null=True)
    day = models.DateField(null=True)
    data = models.JSONField(default=dict)
    secret = models.TextField(default="")
    card = models.TextField(default="")

    class Meta:
        abstract = True


@pubsubpull.publish(exclude=["secret"], mask=["card"])
class Kept(Row):
    """By django-simple-history."""

    history = HistoricalRecords()


@pubsubpull.publish(exclude=["secret"], mask=["card"])
class Logged(Row):
    """By django-auditlog."""


@pubsubpull.publish(exclude=["secret"], mask=["card"])
@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class Tracked(Row):
    """By django-pghistory."""


@pubsubpull.publish
@pghistory.track(pghistory.UpdateEvent("before", row=pghistory.Old), pghistory.DeleteEvent("gone"))
class Before(models.Model):
    """By django-pghistory, with the rows before the changes."""

    name = models.TextField()


@pubsubpull.publish
class Bare(models.Model):
    """By none."""

    name = models.TextField()
