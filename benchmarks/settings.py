"""Settings of the benchmarks' service, and of the processes that they start."""

from __future__ import annotations

import json
import os

import dj_database_url

URL = os.environ.get("BENCH_DATABASE_URL") or os.environ.get("DATABASE_URL") or "postgresql://localhost/none"
"""The benchmark's own database, where one has been made; else the server that it is made on."""
SECRET_KEY = "only for benchmarks"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "ninja",
    "rest_framework",
    "pgtrigger",
    "pghistory",
    "dj_cqrs",
    "pubsubpull",
    "benchmarks",
]
MIDDLEWARE: list[str] = []
SILENCED_SYSTEM_CHECKS = ["admin.E408", "admin.E409", "admin.E410"]
"""The middleware that the admin asks for is there where its pages are measured, and nowhere else."""
ROOT_URLCONF = "benchmarks.urls"
WSGI_APPLICATION = "benchmarks.wsgi.application"
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
STATIC_URL = "/static/"
DATABASES = {"default": dj_database_url.parse(URL, conn_max_age=600)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
PGTRIGGER_INSTALL_ON_MIGRATE = True
PUBSUBPULL = {
    "SERVICE_NAME": "bench",
    "CALLBACK_ADDRESSES": ["127.0.0.0/8"],
    "SERVICES": {"bench": {"url": "http://127.0.0.1:9/", "token": "none"}},
    **json.loads(os.environ.get("BENCH_SETTINGS", "{}")),
}
CQRS = {
    "transport": "dj_cqrs.transport.RabbitMQTransport",
    "url": os.environ.get("BENCH_RABBIT_URL", "amqp://127.0.0.1:9/"),
    "queue": "bench",
}
REST_FRAMEWORK = {"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"]}
