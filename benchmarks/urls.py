"""The API under test, and the API that it is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.urls import include, path

from benchmarks import rest

if TYPE_CHECKING:
    from django.http import HttpRequest


def ready(_request: HttpRequest) -> HttpResponse:
    """Say that the service is there."""
    return HttpResponse(status=204)


urlpatterns = [
    path("", ready),
    path("pubsubpull/", include("pubsubpull.urls")),
    path("rest/", rest.Changes.as_view()),
]
