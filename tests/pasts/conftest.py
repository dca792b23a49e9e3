"""A past is written while nothing is captured, as before pubsubpull was there."""

from __future__ import annotations

import contextlib
import io

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

import pubsubpull
from pubsubpull.capture import registry


def run(statement, params=None):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else None


def command(name, *arguments):
    """Run a command of pubsubpull; return its output, followed by an error's text."""
    out = io.StringIO()
    try:
        call_command(f"pubsubpull_{name}", *arguments, stdout=out, stderr=out)
    except CommandError as error:
        return f"{out.getvalue()}{error}"
    return out.getvalue()


@pytest.fixture(autouse=True)
def _log(transactional_db):
    run("TRUNCATE pubsubpull_change, pubsubpull_request, pubsubpull_seal, pubsubpull_erasure, pubsubpull_import")
    run("UPDATE pubsubpull_log SET dropped = 0, settled = 0")


@contextlib.contextmanager
def uncaptured(*models):
    """Write without pubsubpull: the triggers are not there yet."""
    published = [registry.get(model._meta.label_lower) for model in models]
    for model in models:
        pubsubpull.unpublish(model)
    call_command("pubsubpull_triggers", "--sync", stdout=io.StringIO())
    try:
        yield
    finally:
        for one in published:
            pubsubpull.publish(one.model, exclude=one.exclude, mask=one.mask)
        call_command("pubsubpull_triggers", "--sync", stdout=io.StringIO())
