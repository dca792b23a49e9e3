"""The admin of the benchmarks' service, for its pages to be measured."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from benchmarks.models import Captured
from pubsubpull.admin import HistoryMixin


@admin.register(Captured)
class CapturedAdmin(HistoryMixin, admin.ModelAdmin[Any]):
    """With the log's history."""
