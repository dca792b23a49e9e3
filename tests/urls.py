"""The URLs of the test suite."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from tests import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("pubsubpull/", include("pubsubpull.urls")),
    path("receive/", include("pubsubpull.replica.urls")),
    path("read/", views.read),
    path("read-with/", views.read_with),
    path("write-other/", views.write_other),
    path("write-reason/<name>/", views.write_reason),
    path("write/<name>/", views.write, name="write"),
    path("write-later/<name>/", views.write_later),
    path("fail/<name>/", views.fail),
    path("stream/<name>/", views.stream),
    path("stream-later/<name>/", views.stream_later),
    path("late-user/<name>/", views.late_user),
    path("broken-user/<name>/", views.broken_user),
]
