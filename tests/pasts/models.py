"""Models that another package keeps the past of: each as the one after it, but for that."""

from __future__ import annotations

import uuid

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
class Venue(models.Model):
    name = models.TextField()
    history = HistoricalRecords()


@pubsubpull.publish
class Bar(Venue):
    """A child's table, with columns of its own alone."""

    stools = models.IntegerField(default=0)
    history = HistoricalRecords()


@pubsubpull.publish
class Odd(models.Model):
    """By django-simple-history in another way: other ids, no foreign key to the user, not all columns."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.TextField()
    note = models.TextField(default="")
    groups = models.ManyToManyField(Group)
    history = HistoricalRecords(
        excluded_fields=["note"],
        history_id_field=models.UUIDField(default=uuid.uuid4),
        history_user_id_field=models.IntegerField(null=True),
        m2m_fields=[groups],
        table_name="The Odd's past",
    )


@pubsubpull.publish
@pghistory.track(pghistory.InsertEvent("short"), fields=["id", "name"], model_name="ShortEvent")
@pghistory.track(
    pghistory.InsertEvent(),
    pghistory.UpdateEvent(),
    context_field=pghistory.ContextJSONField(),
    context_id_field=pghistory.ContextUUIDField(null=True),
)
class Inline(models.Model):
    """By django-pghistory, twice, and with the context in the event."""

    name = models.TextField()
    count = models.IntegerField(default=0)


@pubsubpull.publish
@pghistory.track(pghistory.InsertEvent(), context_field=None, exclude=["note"])
class Alone(models.Model):
    """By django-pghistory, without a context."""

    name = models.TextField()
    note = models.TextField(default="")


@pubsubpull.publish
class Shelf(models.Model):
    """By django-auditlog, with a composite key."""

    pk = models.CompositePrimaryKey("place", "number", "code")
    place = models.TextField()
    number = models.IntegerField()
    code = models.UUIDField(default=uuid.uuid4)
    amount = models.IntegerField(default=0)


@pubsubpull.publish
class Bare(models.Model):
    """By none."""

    name = models.TextField()
