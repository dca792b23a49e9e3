"""Connections to the test database beside Django's own, for tests in which several write at once."""

from __future__ import annotations

import contextlib

import psycopg
from django.db import connections


def names(using="default"):
    """Return how psycopg reaches the test database."""
    settings = connections[using].get_connection_params()
    return {key: settings[key] for key in ("dbname", "user", "password", "host", "port") if settings.get(key)}


@contextlib.contextmanager
def session(**given):
    """Give a connection of its own; each statement is a transaction unless one is opened."""
    with contextlib.closing(psycopg.connect(**(given or names()), autocommit=True)) as other:
        yield other
