"""Keys of every type: an object's history is found though Python's text of its key is not PostgreSQL's."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from urllib.parse import unquote

import pytest
from django.db import connection, models
from django.test import override_settings
from django.test.utils import isolate_apps

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.capture import registry, syncing
from pubsubpull.pull import consumers

pytestmark = pytest.mark.django_db(transaction=True)

KEYS = {
    "bool": (models.BooleanField, {}, True),
    "moment": (models.DateTimeField, {}, dt.datetime(2026, 1, 2, 3, 4, 5, 600000, dt.UTC)),
    "elsewhere": (models.DateTimeField, {}, dt.datetime(2026, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=5)))),
    "time": (models.TimeField, {}, dt.time(3, 4, 5, 600000)),
    "date": (models.DateField, {}, dt.date(2026, 1, 2)),
    "span": (models.DurationField, {}, dt.timedelta(days=1, hours=2, microseconds=3)),
    "bytes": (models.BinaryField, {}, b"\x01\xff"),
    "decimal": (models.DecimalField, {"max_digits": 10, "decimal_places": 3}, decimal.Decimal("1.5")),
    "float": (models.FloatField, {}, 1e20),
    "uuid": (models.UUIDField, {}, uuid.UUID(int=7)),
    "address": (models.GenericIPAddressField, {}, "::1"),
    "text": (models.TextField, {}, "True"),
    "slashes": (models.TextField, {}, "x/audit"),
    "number": (models.IntegerField, {}, 7),
}


@pytest.fixture(params=KEYS)
def row(request):
    """Make a published table with a key of one type, and write a row; yield the row."""
    field, options, value = KEYS[request.param]
    with isolate_apps("tests.shop"):
        body = {"k": field(primary_key=True, **options), "n": models.IntegerField(default=0), "__module__": __name__}
        model = type("Keyed", (models.Model,), {**body, "Meta": type("Meta", (), {"app_label": "shop"})})
    with connection.schema_editor() as editor:
        editor.create_model(model)
    pubsubpull.publish(model)
    syncing.sync()
    try:
        yield model.objects.create(k=value)
    finally:
        registry._publications.pop("shop.keyed")
        with connection.schema_editor() as editor:
            editor.delete_model(model)


def test_a_history_a_state_and_restoring_find_the_object(row):
    model, key = type(row), row.pk
    model.objects.update(n=1)
    changes = pubsubpull.history(row)
    assert [entry.op for entry in changes] == ["update", "insert"]
    assert len(pubsubpull.history(model, key)) == 2
    assert len(pubsubpull.history("shop.keyed", key)) == 2
    assert len(pubsubpull.history(model, changes[0].key)) == 2, "the log's own text is a key too"
    assert pubsubpull.as_of(model, key, changes[1].at).data["n"] == 0
    pubsubpull.restore(row, changes[1].version)
    assert model.objects.get().n == 0
    model.objects.all().delete()
    pubsubpull.restore(model, key, changes[0].version)
    assert model.objects.get().n == 1


@override_settings(USE_TZ=False, TIME_ZONE="Asia/Tokyo")
@pytest.mark.parametrize("row", ["bool", "time", "span", "bytes", "decimal"], indirect=True)
def test_so_they_do_without_time_zones(row):
    assert len(pubsubpull.history(row)) == 1


@pytest.mark.parametrize("row", ["slashes"], indirect=True)
def test_a_key_that_ends_as_an_address_does_is_a_key_over_http(row, client):
    type(row).objects.create(k="x")
    token = consumers.add("auditor", ["shop.keyed"], may_audit=True)[1]

    def get(path):
        answer = client.get(f"/pubsubpull/models/shop.keyed/{path}/", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, answer.content
        return answer.json()

    for key in ("x", "x%2Faudit", "x/audit"):
        assert get(f"instances/{key}")["data"]["k"] == unquote(key)
        assert get(f"audit/{key}")["items"][0]["changed"]["k"][1] == unquote(key)


@pytest.mark.parametrize("row", ["bool", "span", "moment"], indirect=True)
def test_an_invalid_key_is_refused(row):
    with pytest.raises(exceptions.HistoryError, match="is no key of shop.keyed"):
        pubsubpull.history(type(row), "certainly not")


@pytest.mark.parametrize("row", ["bool"], indirect=True)
def test_the_log_page_finds_a_typed_key_and_reports_an_invalid_key(row, admin_client):
    def page(key):
        return admin_client.get("/admin/pubsubpull/change/", {"model": "shop.keyed", "key": key}).content.decode()

    assert "psp-when" in page("True")
    assert "psp-when" in page("true")
    assert "is no key of shop.keyed" in page("certainly not")
