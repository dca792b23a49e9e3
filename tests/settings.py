"""Settings of the test suite: two databases of one server, the shop's models, and everything of pubsubpull."""

from __future__ import annotations

import importlib.util
import os
import sys

import dj_database_url

from example import local_postgres

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
"""Which of several processes that run tests at the same time this one is."""


def server() -> str:
    """Return the URL of the given server, or of a server started for this process and its children.

    Each process that runs tests has its own: snapshots know the transactions of all databases of a server.
    """
    if "mypy" in sys.modules:  # it reads these settings too, and needs no server for it
        return "postgresql://localhost/none"
    if os.environ.get("PUBSUBPULL_TEST_SERVER", WORKER) != WORKER:  # it is that of the process that started this one
        del os.environ["DATABASE_URL"]
    if "DATABASE_URL" not in os.environ:
        os.environ["DATABASE_URL"] = local_postgres.ensure(f"tests{WORKER}")
        os.environ["PUBSUBPULL_TEST_SERVER"] = WORKER
    return os.environ["DATABASE_URL"]


URL = server()
SECRET_KEY = "only for tests"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.postgres",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "ninja",
    "pubsubpull",
    "tests.shop",
    "tests.replicas",
    *(["django_tasks_db"] if importlib.util.find_spec("django_tasks_db") else []),
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "pubsubpull.middleware.RequestMiddleware",
]
DATABASES = {
    "default": dj_database_url.parse(URL),
    "second": {**dj_database_url.parse(URL), "TEST": {"NAME": "test_second"}},
}
ROOT_URLCONF = "tests.urls"
PROCESSORS = [
    "django.template.context_processors.request",
    "django.contrib.auth.context_processors.auth",
    "django.contrib.messages.context_processors.messages",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": PROCESSORS},
    }
]
USE_TZ = True
PUBSUBPULL = {
    "SERVICE_NAME": "shop",
    "CALLBACK_ADDRESSES": ["127.0.0.0/8", "::1/128"],
    "CALLBACK_HOSTS": [".example"],
    "SERVICES": {
        "shop": {
            "url": os.environ.get("SHOP_URL", "http://127.0.0.1:9/"),
            "token": os.environ.get("SHOP_TOKEN", "none"),
            "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        }
    },
}
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
LOGGING_CONFIG = None
STATIC_URL = "/static/"  # a live server of Django's serves them
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
