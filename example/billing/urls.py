"""Billing's URLs: what it has, and its callback."""

from django.urls import path

from example.billing import views

urlpatterns = [
    path("", views.home, name="home"),
    path("changes/", views.changes, name="changes"),
]
