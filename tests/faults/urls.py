"""The service, and its API. Each call writes a few rows in one transaction, or takes them back."""

from __future__ import annotations

import random

from django.db import transaction
from django.db.models import F
from django.http import HttpResponse
from django.urls import include, path

from tests.faults.models import Note


def work(request, seed):
    chance = random.Random(seed)
    with transaction.atomic():
        note = Note.objects.create(text=f"note {seed} \u00e4\u20ac\U0001f600 '\"\\")
        Note.objects.filter(pk__gte=note.pk - chance.randrange(20)).update(count=F("count") + 1)
        if chance.random() < 0.3:
            Note.objects.filter(pk__in=[note.pk - 7, note.pk - 11]).delete()
        if chance.random() < 0.2:
            transaction.set_rollback(True)
            return HttpResponse("rolled back", status=409)
    return HttpResponse("written", status=201)


urlpatterns = [path("work/<int:seed>/", work), path("pubsubpull/", include("pubsubpull.urls"))]
