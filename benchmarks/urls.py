"""The API under test."""

from django.urls import include, path

urlpatterns = [path("pubsubpull/", include("pubsubpull.urls"))]
