"""A project whose tests run without migrations: all is captured, and each change has its request."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests import processes

pytestmark = pytest.mark.acceptance

SETTINGS = """
import os
import dj_database_url
SECRET_KEY = "only for tests"
INSTALLED_APPS = [f"django.contrib.{name}" for name in ("auth", "contenttypes", "sessions")] + ["pubsubpull", "little"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "pubsubpull.middleware.RequestMiddleware",
]
DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"])}
DATABASES["default"]["TEST"] = {"NAME": "test_little", "MIGRATE": os.environ["WAY"] != "django"}
ROOT_URLCONF = "little.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
MODELS = """
import pubsubpull
from django.db import models
@pubsubpull.publish
class Item(models.Model):
    name = models.TextField()
"""
URLS = """
from django.http import HttpResponse
from django.urls import path
from little.models import Item
def read(request): return HttpResponse(Item.objects.count())
def write(request): return HttpResponse(Item.objects.create(name="a").pk)
urlpatterns = [path("read/", read), path("write/", write)]
"""
TESTS = """
from django.test import TestCase
from little.models import Item
from pubsubpull.capture import planning
from pubsubpull.models import Change, Request
class Little(TestCase):
    def test_reading(self):
        with self.assertNumQueries(1):
            self.client.get("/read/")
        self.assertEqual(Item.objects.count(), 0)
    def test_writing(self):
        with self.assertNumQueries(1):
            self.client.get("/write/")
        self.assertEqual(Change.objects.get(model="little.item").request_id, Request.objects.get().id)
        self.assertEqual(Request.objects.get().status, 200)
        self.assertEqual(planning.plan().actions, ())
"""
WAYS = {
    "django": [sys.executable, "-m", "django", "test", "little", "--noinput"],
    "pytest": [sys.executable, "-m", "pytest", "--nomigrations", "--create-db", "-p", "no:cacheprovider", "little"],
}


@pytest.mark.parametrize("way", WAYS)
def test_all_is_there_where_migrations_are_switched_off(way, tmp_path):
    folder = tmp_path / "little"
    (folder / "migrations").mkdir(parents=True)
    texts = {"settings": SETTINGS, "models": MODELS, "urls": URLS, "test_little": TESTS, "__init__": ""}
    for name, text in {**texts, "migrations/__init__": ""}.items():
        (folder / f"{name}.py").write_text(text)
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "little.settings",
        "DATABASE_URL": processes.test_database_url(),
        "WAY": way,
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{processes.ROOT}",
    }
    done = subprocess.run(WAYS[way], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
