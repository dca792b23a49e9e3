"""Consumers: the API clients that may read and subscribe."""

from __future__ import annotations

from django.db import models


class Consumer(models.Model):
    """An API client. Only the hash of its token is stored, and it sees only the models granted to it."""

    name = models.TextField(unique=True)
    token_hash = models.TextField(unique=True)
    granted = models.JSONField(default=list)
    may_audit = models.BooleanField(default=False)
    may_subscribe = models.BooleanField(default=False)
    may_monitor = models.BooleanField(default=False)
    active = models.BooleanField(default=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "pubsubpull_consumer"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
