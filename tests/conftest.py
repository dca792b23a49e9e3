"""Fixtures that every tier shares. Fixtures of one concern stand beside its tests."""

from __future__ import annotations

import os

import hypothesis
import pytest
from django.apps import apps
from django.db import connections

from pubsubpull.capture import registry
from pubsubpull.pull import waiting

# Another project, whose tests test_imports.py runs with its own settings.
collect_ignore = [] if os.environ.get("DJANGO_SETTINGS_MODULE") == "tests.pasts.settings" else ["pasts"]

# How long an example takes says more of a busy machine than of the code.
hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("busy")

UNFLUSHED = 'TRUNCATE shop_event, "Other Schema"."The Table"'
"""Django does not manage the one, nor find the other, which is of another schema, when it flushes after a test."""
LOGGED = "TRUNCATE pubsubpull_change, pubsubpull_request, pubsubpull_alive"
"""What the flush itself has written there is left; the log's present is to be beyond that."""


@pytest.fixture(autouse=True)
def _no_publications_of_other_tests():
    """Forget what a test published once more: a check tells of it."""
    before = set(registry._replaced)
    yield
    registry._replaced.clear()
    registry._replaced.update(before)


@pytest.fixture(autouse=True)
def _no_rows_of_other_tests(request):
    """Begin with empty tables and an empty log in each database that the test commits to."""
    marker = request.node.get_closest_marker("django_db")
    given = marker.kwargs if marker else {}
    if not given.get("transaction") and not {"transactional_db", "live_server"}.intersection(request.fixturenames):
        return
    request.getfixturevalue("transactional_db")
    waiting.close()
    named = given.get("databases") or ["default"]
    for using in connections if named == "__all__" else named:
        with connections[using].cursor() as cursor:
            if apps.is_installed("tests.shop"):
                cursor.execute(UNFLUSHED)
            cursor.execute(LOGGED)
