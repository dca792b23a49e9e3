"""Runs tests within a context, as a management command or a job would be."""

from __future__ import annotations

import logging

from django.db import connection
from django.test.runner import DiscoverRunner

import pubsubpull
from tests.django_suite import replay


class Runner(DiscoverRunner):
    """Django's own runner, with a user and metadata around each test."""

    def run_suite(self, suite, **kwargs):
        """Run the tests."""
        replay.install()
        with pubsubpull.context(source="suite", user="django-tests", note="the context of all tests"):
            result = super().run_suite(suite, **kwargs)
        with connection.cursor() as cursor:
            cursor.execute("SELECT last_value FROM pubsubpull_change_id_seq")
            self.log(f"{cursor.fetchone()[0]} changes were captured.", level=logging.WARNING)
        counted = ", ".join(f"{number:,} {name}" for name, number in replay.COUNTS.items())
        self.log(f"Replayed: {counted}.", level=logging.WARNING)
        return result
