from __future__ import annotations

from django.contrib import admin

from pubsubpull.admin import HistoryMixin
from tests.pasts.models import Kept


@admin.register(Kept)
class KeptAdmin(HistoryMixin, admin.ModelAdmin):
    pass
