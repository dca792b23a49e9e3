"""The log's History page for every published model, by a setting, whenever a model is registered."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.auth.models import Permission, User
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import include, path

from pubsubpull.admin import HistoryMixin
from pubsubpull.checks import serving as serving_checks
from pubsubpull.checks import settings as settings_checks
from tests.settings import MIDDLEWARE
from tests.shop.models import Account, Customer, Place, Secret

pytestmark = pytest.mark.django_db(transaction=True)
OURS = "psp-timeline"


@pytest.fixture(autouse=True)
def _on(settings):
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "ADMIN_HISTORY": True}


@pytest.fixture
def boss():
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


@pytest.fixture
def serve(settings):
    """Serve a site of one's own below `/own/`, with the models that are registered by then."""

    def make(site):
        settings.ROOT_URLCONF = (path("own/", site.urls), path("", include("tests.urls")))

    return make


def history(client, row, below="", **query):
    opts = row._meta
    return client.get(f"/own/{opts.app_label}/{opts.model_name}/{row.pk}/history/{below}", query)


@pytest.mark.parametrize("late", [False, True])
def test_a_model_has_the_page_whether_it_is_registered_before_the_middleware_is_made_or_after(boss, serve, late):
    site, account = AdminSite(name="own"), Account.objects.create(owner="Miller")
    if not late:
        site.register(Account)
        serve(site)
    boss.get("/admin/")  # with this the middleware is made
    if late:
        site.register(Account)
        serve(site)
    text = history(boss, account).content.decode()
    assert OURS in text
    assert "Miller" in text


def test_it_can_be_restored_from_there_with_a_token_against_forgery(boss, serve):
    site, place = AdminSite(name="own"), Place.objects.create(name="a")
    site.register(Place)
    serve(site)
    Place.objects.update(name="b")
    version = history(boss, place).content.decode().split("restore/?version=")[1].split('"')[0]
    answer = history(boss, place, "restore/", version=version)
    assert '<td class="psp-text">b</td><td class="psp-text">a</td>' in answer.content.decode()
    url = f"/own/shop/place/{place.pk}/history/restore/"
    boss.handler.enforce_csrf_checks = True
    assert boss.post(url, {"version": version}).status_code == 403
    boss.handler.enforce_csrf_checks = False
    assert boss.post(url, {"version": version}).status_code == 302
    assert Place.objects.get().name == "a"


def test_a_deleted_object_has_its_page_too(boss, serve):
    site, place = AdminSite(name="own"), Place.objects.create(name="a")
    site.register(Place)
    serve(site)
    Place.objects.filter(pk=place.pk).delete()
    assert "(deleted)" in history(boss, place).content.decode()


def test_the_page_takes_the_admins_permissions(serve):
    site, place = AdminSite(name="own"), Place.objects.create(name="a")
    site.register(Place)
    serve(site)
    client = Client()
    assert history(client, place).status_code == 302
    clerk = User.objects.create_user("clerk", is_staff=True)
    client.force_login(clerk)
    assert history(client, place).status_code == 403
    clerk.user_permissions.add(Permission.objects.get(codename="view_place"))
    assert OURS in history(client, place).content.decode()
    assert history(client, place, "restore/", version=1).status_code == 403


def test_sites_of_one_name_are_told_apart(boss, serve):
    class OwnAdmin(ModelAdmin):
        def history_view(self, request, object_id, extra_context=None):
            return HttpResponse("mine")

    site, others = AdminSite(name="own"), [AdminSite(name="own") for _ in range(20)]
    site.register(Account)
    for other in others:
        other.register(Account, OwnAdmin)
    serve(site)
    assert OURS in history(boss, Account.objects.create(owner="o")).content.decode()


def test_models_unpublished_or_with_their_own_history_are_left_alone(boss, serve):
    class OwnAdmin(ModelAdmin):
        def history_view(self, request, object_id, extra_context=None):
            return HttpResponse("mine")

    class MixedAdmin(HistoryMixin, ModelAdmin):
        pass

    site = AdminSite(name="own")
    site.register(Secret)
    site.register(Account, OwnAdmin)
    site.register(Customer, MixedAdmin)
    serve(site)
    text = history(boss, Secret.objects.create(text="s")).content.decode()
    assert "This object doesn’t have a change history" in text  # noqa: RUF001  Django's words
    assert history(boss, Account.objects.create(owner="o")).content == b"mine"
    assert OURS in history(boss, Customer.objects.create(name="a")).content.decode()
    assert boss.get("/own/shop/secret/history/restore/").status_code == 302
    assert boss.get("/nowhere/history/restore/").status_code == 404
    assert boss.get("/read/").status_code == 200


def test_without_the_setting_it_is_djangos_own(boss, serve, settings):
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "ADMIN_HISTORY": False}
    site, place = AdminSite(name="own"), Place.objects.create(name="a")
    site.register(Place)
    serve(site)
    assert OURS not in history(boss, place).content.decode()


def test_under_asgi_it_is_the_same(serve):
    site, place = AdminSite(name="own"), Place.objects.create(name="a")
    site.register(Place)
    serve(site)
    client = AsyncClient()
    client.force_login(User.objects.create_superuser("boss"))
    answer = async_to_sync(client.get)(f"/own/shop/place/{place.pk}/history/")
    assert OURS in answer.content.decode()


class Guard:
    """A middleware that looks at views."""

    def process_view(self, *_):
        return None


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"MIDDLEWARE": [*MIDDLEWARE, f"{__name__}.Guard"]}, ["pubsubpull.W011"]),
        ({"MIDDLEWARE": [f"{__name__}.Guard", *MIDDLEWARE]}, []),
        ({"MIDDLEWARE": []}, ["pubsubpull.E009"]),
        ({"PUBSUBPULL": {"ADMIN_HISTORY": "yes"}}, ["pubsubpull.E001"]),
        ({"PUBSUBPULL": {"ADMIN_HISTORY": False}, "MIDDLEWARE": []}, []),
    ],
)
def test_a_check_names_missing_and_conflicting_objects(settings, change, found):
    for name, value in change.items():
        setattr(settings, name, value)
    assert [
        one.id for check in (settings_checks.check_settings, serving_checks.check_admin_history) for one in check()
    ] == found
