"""The ORM reads the log and cannot write to it in any way."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest
from asgiref.sync import async_to_sync
from django.apps import apps
from django.db import models

from pubsubpull import exceptions
from pubsubpull.log.readonly import ReadOnlyModel
from pubsubpull.models import Change, History, Log, Request
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db


@pytest.fixture
def change():
    Customer.objects.create(name="a")
    return Change.objects.latest("id")


@pytest.mark.parametrize(
    "write",
    [
        lambda _: Change.objects.create(id=1, model="shop.customer", op="I"),
        lambda _: Change.objects.bulk_create([Change(id=1)]),
        lambda one: Change.objects.bulk_update([one], ["model"]),
        lambda _: Change.objects.get_or_create(id=1),
        lambda _: Change.objects.update_or_create(id=1),
        lambda _: Change.objects.update(model="shop.order"),
        lambda one: Change.objects.filter(pk=one.pk).delete(),
        lambda one: Change.objects.order_by("id").all().exclude(pk=one.pk).update(key="1"),
        lambda one: Change._default_manager.filter(pk=one.pk).delete(),
        lambda one: Change._base_manager.filter(pk=one.pk).delete(),
        lambda _: Change._base_manager.update(key="1"),
        lambda _: Request._base_manager.create(id=uuid.uuid4(), source="forged", started=dt.datetime.now(dt.UTC)),
        lambda _: Log._base_manager.update(settled=0),
        lambda _: History._base_manager.all().delete(),
        lambda one: one.save(),
        lambda one: one.delete(),
        lambda _: Request.objects.create(id=uuid.uuid4(), source="forged", started=dt.datetime.now(dt.UTC)),
        lambda _: Request.objects.update(user_name="somebody else"),
        lambda _: Log.objects.update(settled=0),
        lambda _: History.objects.all().delete(),
    ],
)
def test_every_writing_statement_is_refused_and_changes_nothing(change, write):
    before = [list(model.objects.order_by("pk").values()) for model in (Change, Request, Log, History)]
    with pytest.raises(exceptions.LogIsReadOnly, match=r"pubsubpull\.\w+ is written by .*pubsubpull_erase"):
        write(change)
    assert [list(model.objects.order_by("pk").values()) for model in (Change, Request, Log, History)] == before


@pytest.mark.parametrize("name", ["acreate", "abulk_create", "abulk_update", "aget_or_create", "aupdate", "adelete"])
def test_so_are_the_asynchronous_forms(name):
    given = {"abulk_create": ([],), "abulk_update": ([], [])}.get(name, ())
    with pytest.raises(exceptions.LogIsReadOnly):
        async_to_sync(getattr(Change.objects.all(), name))(*given)


def test_every_writing_method_of_querysets_is_among_those_that_refuse():
    writing = {
        name
        for name in dir(models.QuerySet)
        if getattr(getattr(models.QuerySet, name), "alters_data", False) and not name.startswith(("_", "a"))
    }
    assert writing | {"create", "bulk_create", "get_or_create", "update_or_create", "bulk_update"} <= {
        name for name, value in vars(type(Change.objects.all())).items() if getattr(value, "alters_data", False)
    }


def test_each_table_of_the_log_is_such_a_model():
    found = {one.__name__ for one in apps.get_app_config("pubsubpull").get_models() if issubclass(one, ReadOnlyModel)}
    assert found == {"Change", "History", "Log", "Request"}
