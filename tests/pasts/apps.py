from __future__ import annotations

from django.apps import AppConfig


class Pasts(AppConfig):
    name = "tests.pasts"
    label = "pasts"

    def ready(self):
        from auditlog.registry import auditlog

        from tests.pasts import models

        auditlog.register(models.Logged, exclude_fields=["secret"], mask_fields=["card"])
        auditlog.register(models.Shelf)
