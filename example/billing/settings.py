"""Billing's settings. It has a database of its own, and knows the shop by its URL, a token and a secret."""

from __future__ import annotations

import os
import secrets

import dj_database_url

SECRET_KEY = os.environ.get("SECRET_KEY") or secrets.token_urlsafe(32)
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = ["django.contrib.postgres", "pubsubpull", "example.billing"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "example.billing.urls"
WSGI_APPLICATION = "example.billing.wsgi.application"
DATABASES = {
    "default": dj_database_url.parse(
        os.environ.get("BILLING_DATABASE_URL", "postgresql://localhost/billing"), conn_max_age=600
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
SHOP = {
    "url": os.environ.get("SHOP_URL", "http://127.0.0.1:8000/pubsubpull/"),
    "token": os.environ.get("SHOP_TOKEN", "none"),
}
if "SHOP_SECRET" in os.environ:  # where the shop pushes
    SHOP["secrets"] = [os.environ["SHOP_SECRET"]]
PUBSUBPULL = {"SERVICES": {"shop": SHOP}}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
