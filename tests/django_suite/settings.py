"""Settings for Django's runtests.py: two databases and, unless BASE is set, pubsubpull with its middleware."""

from __future__ import annotations

import os

import dj_database_url
from django.apps import apps
from django.db.models import signals

import __main__ as runtests

URL = dj_database_url.parse(os.environ["DATABASE_URL"])
DATABASES = {
    alias: {**URL, "TEST": {"NAME": f"test_django_{alias}"}, "OPTIONS": {"server_side_binding": "SERVER" in os.environ}}
    for alias in ("default", "other")
}
SECRET_KEY = "django_tests_secret_key"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False


def publish(sender, **_):
    """Publish each model that has a table of its own."""
    import pubsubpull

    opts = sender._meta
    has_table = opts.managed and not (opts.abstract or opts.proxy or opts.swapped)
    if has_table and opts.apps is apps and opts.app_label != "pubsubpull":
        pubsubpull.publish(sender)


if "BASE" not in os.environ:
    runtests.ALWAYS_INSTALLED_APPS.append("pubsubpull")
    runtests.ALWAYS_MIDDLEWARE.append("pubsubpull.middleware.RequestMiddleware")
    signals.class_prepared.connect(publish)
    TEST_RUNNER = "tests.django_suite.runner.Runner"
