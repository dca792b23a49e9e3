"""The same table four times: plain, and captured in three ways."""

from __future__ import annotations

import pghistory
from django.db import models
from django.db.models.functions import Now

import pubsubpull


class Row(models.Model):
    """Nine columns of an order as services have them."""

    customer = models.TextField()
    email = models.TextField()
    total = models.DecimalField(max_digits=12, decimal_places=2)
    status = models.TextField()
    quantity = models.IntegerField()
    notes = models.TextField()
    created = models.DateTimeField(db_default=Now())
    updated = models.DateTimeField(db_default=Now())

    class Meta:
        abstract = True


class Plain(Row):
    """Without triggers."""


@pubsubpull.publish
class Captured(Row):
    """Captured by pubsubpull."""


class ByRow(Row):
    """Captured as django-pubsubpull 0.1.2 did; see sql/by_row.sql."""


@pghistory.track()
class Tracked(Row):
    """Captured by django-pghistory, with its defaults."""
