"""Billing's URLs: its pages, and the address of the shop's notifications."""

from django.urls import include, path

from example.billing import views

urlpatterns = [
    path("", views.home, name="home"),
    path("rows/", views.rows, name="rows"),
    path("receive/", include("pubsubpull.replica.urls")),
]
