"""The shop's admin. `HistoryMixin` shows the log's changes on each object's History page."""

from __future__ import annotations

from django.contrib import admin

from example.shop.models import Customer, Item, Order
from pubsubpull.admin import HistoryMixin


class ItemInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Item
    extra = 0


@admin.register(Customer)
class CustomerAdmin(HistoryMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "email", "city", "joined")
    search_fields = ("name",)
    ordering = ("-pk",)


@admin.register(Order)
class OrderAdmin(HistoryMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("reference", "customer", "status", "total", "placed")
    raw_id_fields = ("customer",)
    ordering = ("-pk",)
    inlines = (ItemInline,)
