"""The addresses of a service that answers calls for compact pages with an error."""

from __future__ import annotations

from django.http import JsonResponse
from django.urls import path, resolve

from tests import urls

status = 400
asked: list[bool] = []
"""For each call for changes, whether it asked for a compact page."""


def changes(request):
    asked.append("compact" in request.GET)
    if asked[-1]:
        return JsonResponse({"detail": "canceling statement due to statement timeout"}, status=status)
    match = resolve(request.path, urlconf="tests.urls")
    return match.func(request, *match.args, **match.kwargs)


urlpatterns = [path("pubsubpull/changes/", changes), *urls.urlpatterns]
