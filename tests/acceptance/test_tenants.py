"""A project with django-tenants: each tenant's schema has a log and triggers of its own."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest
from django.db import connection

from tests import processes

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]
TABLES = 4  # triggers of a table that is captured by the statement


@pytest.fixture
def _database(monkeypatch):
    """Make an empty database, and name it to the process that the scenario runs in."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE psp_tenants")
    whole, name = processes.test_database_url().rsplit("/", 1)
    assert name
    monkeypatch.setenv("DATABASE_URL", f"{whole}/psp_tenants")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.tenants.settings")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE psp_tenants WITH (FORCE)")


@pytest.mark.skipif(not importlib.util.find_spec("django_tenants"), reason="django-tenants is not installed")
@pytest.mark.usefixtures("_database")
def test_each_tenant_has_its_own_log_and_migrating_one_leaves_the_others_triggers():
    done = subprocess.run(
        [sys.executable, "-m", "tests.tenants.scenario"],
        cwd=processes.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["wrong"] == ["pubsubpull.E050 goods.Item"]
    assert found["made"] == found["again"] == {"public": TABLES, "ann": TABLES, "bob": TABLES}
    assert found["logs"] == {
        "public": ["all", "ann", "bob"],
        "ann": ["more of ann", "of ann"],
        "bob": ["more of bob", "of bob"],
    }
