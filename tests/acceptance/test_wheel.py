"""The wheel: built, installed into a clean environment, and used there."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

from example import local_postgres

ROOT = pathlib.Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.acceptance

FOLDERS = {"pubsubpull": "pubsubpull", "sql": "pubsubpull/sql", "middleware": "pubsubpull/middleware"}

SETTINGS = """
import dj_database_url, os
SECRET_KEY = "x"
DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"])}
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "ninja", "pubsubpull", "kiosk"]
MIDDLEWARE = ["pubsubpull.middleware.RequestMiddleware"]
ROOT_URLCONF = "kiosk.urls"
"""
MODELS = """
import pubsubpull
from django.db import models

@pubsubpull.publish
class Paper(models.Model):
    id = models.BigAutoField(primary_key=True)
    name = models.TextField()
"""
URLS = """
from django.urls import include, path
urlpatterns = [path("pubsubpull/", include("pubsubpull.urls"))]
"""
USE = """
import django
django.setup()
from django.core.management import call_command
from kiosk.models import Paper
from pubsubpull.log import feed
Paper.objects.create(name="News")
print(feed.page(None, limit=10).items.decode())
"""


def run(*command, cwd, **env):
    done = subprocess.run(command, cwd=cwd, env=os.environ | env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    shutil.rmtree(ROOT / "build", ignore_errors=True)  # an earlier build's files would go into this one
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(out), ".", cwd=ROOT)
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_holds_the_package_and_its_two_outer_folders_and_nothing_else(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"{inside}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, inside in FOLDERS.items()
        for pattern in ("*.py", "*.sql", "*.html", "*.css", "*.js", "py.typed")
        for path in (ROOT / folder).rglob(pattern)
    }
    assert {name for name in held if ".dist-info/" not in name} == expected
    assert "pubsubpull/sql/schema/change_table.1.sql" in held
    assert any(name.endswith("/LICENSE") for name in held)


def test_the_wheel_works_in_a_clean_environment(wheel, tmp_path):
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", str(venv), cwd=tmp_path)
    python = str(venv / "bin" / "python")
    run(python, "-m", "pip", "install", "-q", f"{wheel}[demo]", cwd=tmp_path)
    kiosk = tmp_path / "kiosk"
    kiosk.mkdir()
    for name, text in {"__init__": "", "settings": SETTINGS, "models": MODELS, "urls": URLS}.items():
        (kiosk / f"{name}.py").write_text(text)
    with local_postgres.own_server("wheel") as server:
        env = {"DATABASE_URL": server.url(), "DJANGO_SETTINGS_MODULE": "kiosk.settings", "PYTHONPATH": ""}
        run(python, "-m", "django", "makemigrations", "kiosk", cwd=tmp_path, **env)
        run(python, "-m", "django", "migrate", cwd=tmp_path, **env)
        run(python, "-m", "django", "check", "--database", "default", "--fail-level", "WARNING", cwd=tmp_path, **env)
        assert '"model":"kiosk.paper"' in run(python, "-c", USE, cwd=tmp_path, **env)
        assert "are installed" in run(python, "-m", "django", "pubsubpull_triggers", "--check", cwd=tmp_path, **env)
