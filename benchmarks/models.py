"""The same table: plain, captured in three ways, and replicated in two."""

from __future__ import annotations

import pghistory
from dj_cqrs.mixins import MasterMixin, ReplicaMixin
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


@pubsubpull.replicates("benchmarks.captured", service="bench")
class Copied(Row):
    """A replica of the captured table."""


class Master(MasterMixin, Row):
    """Published by django-cqrs from its signals."""

    CQRS_ID = "row"


class Mirror(ReplicaMixin, Row):
    """Its replica."""

    CQRS_ID = "row"
