"""Billing's settings. It has a database of its own, and knows the shop by its URL and a token."""

from __future__ import annotations

import os
import secrets

import dj_database_url

SECRET_KEY = os.environ.get("SECRET_KEY") or secrets.token_urlsafe(32)
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = ["django.contrib.postgres", "example.billing"]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "example.billing.urls"
WSGI_APPLICATION = "example.billing.wsgi.application"
DATABASES = {
    "default": dj_database_url.parse(
        os.environ.get("BILLING_DATABASE_URL", "postgresql://localhost/billing"), conn_max_age=600
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024 * 1024  # a page holds up to a thousand changes, each with its row twice
USE_TZ = True
SHOP = {"url": os.environ.get("SHOP_URL", ""), "token": os.environ.get("SHOP_TOKEN", "")}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
