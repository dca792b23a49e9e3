"""The questions of the restore page, and the values it sets by itself."""

from __future__ import annotations

import pytest
from django.db import models
from django.test.utils import isolate_apps

from pubsubpull.pages import restoring


@pytest.fixture
def model():
    with isolate_apps("tests.shop"):

        class Dated(models.Model):
            made = models.DateTimeField(auto_now_add=True)
            updated = models.DateTimeField(auto_now=True)
            day = models.DateField("last day", auto_now=True)
            hour = models.TimeField(auto_now=True)
            note = models.TextField(blank=True)
            count = models.IntegerField(default=7)
            scan = models.FileField(blank=True)

            class Meta:
                app_label = "shop"

    return Dated


def test_restoring_sets_the_same_automatic_times_as_saving(model):
    assert restoring.titles(restoring.touched_fields(model)) == "updated, last day, hour"


def test_the_values_of_a_new_row_are_offered(model):
    fields = [model._meta.get_field(name) for name in ("note", "count", "scan")]
    form = restoring.unknown_form(fields, None)
    assert {name: field.initial for name, field in form.fields.items()} == {"note": "", "count": 7, "scan": ""}
    assert not form.fields["note"].required
    given = {"unknown-note": "", "unknown-count": "8", "unknown-scan": "a.pdf"}
    form = restoring.unknown_form(fields, given)
    assert form.is_valid()
    assert form.cleaned_data == {"note": "", "count": 8, "scan": "a.pdf"}
