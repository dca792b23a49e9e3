"""Tenants and their domains, in the schema public."""

from __future__ import annotations

from django.db import models
from django_tenants.models import DomainMixin, TenantMixin

import pubsubpull


@pubsubpull.publish
class Tenant(TenantMixin):
    """A tenant; its schema is made with it."""

    name = models.TextField()


class Domain(DomainMixin):
    """A host name of a tenant."""
