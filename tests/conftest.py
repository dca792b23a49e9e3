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
BEGIN_BEYOND = """
SELECT setval(s.seqrelid, %(first)s) FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
WHERE c.relname <> 'pubsubpull_change_id_seq' AND s.seqmax > %(first)s
"""
"""But for the log's own, by which its partitions go."""
LOGGED = "TRUNCATE pubsubpull_change, pubsubpull_request, pubsubpull_alive"
"""What the flush itself has written there is left; the log's present is to be beyond that."""


FIXED_KEYS_BELOW = 1_000_000
"""Where sequences of keys begin: a test may give a row a lower key, and in no order of tests a sequence comes to it."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Let the sequences begin beyond the keys that tests give."""
    with django_db_blocker.unblock():
        for using in connections:
            with connections[using].cursor() as cursor:
                cursor.execute(BEGIN_BEYOND, {"first": FIXED_KEYS_BELOW})


@pytest.fixture(autouse=True)
def _no_publications_of_other_tests():
    """Remove the duplicate publications of a test: a check reports them."""
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
