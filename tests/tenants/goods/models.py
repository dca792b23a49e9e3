"""A tenant's goods."""

from __future__ import annotations

from django.db import models

import pubsubpull


@pubsubpull.publish
class Item(models.Model):
    """Something that a tenant has."""

    name = models.TextField()
