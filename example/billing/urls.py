"""Billing's URLs: what it has, and where the shop's notifications arrive."""

from django.urls import include, path

from example.billing import views

urlpatterns = [
    path("", views.home, name="home"),
    path("rows/", views.rows, name="rows"),
    path("receive/", include("pubsubpull.replica.urls")),
]
