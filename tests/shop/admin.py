"""The shop's admin: with the log's history."""

from __future__ import annotations

from django.contrib import admin

from pubsubpull.admin import HistoryMixin
from tests.shop.models import Customer, Order


@admin.register(Customer, Order)
class ShopAdmin(HistoryMixin, admin.ModelAdmin):
    send_at_once = 3
