"""The admin of the benchmarks' service, for its pages to be measured."""

from __future__ import annotations

from django.contrib import admin

from benchmarks.models import Captured
from pubsubpull.admin import HistoryMixin


@admin.register(Captured)
class CapturedAdmin(HistoryMixin, admin.ModelAdmin):
    """With the log's history."""
