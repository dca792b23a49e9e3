"""The shop's settings. pubsubpull needs the app, its middleware, and its place in the URLs."""

from __future__ import annotations

import os
import secrets

import dj_database_url

SECRET_KEY = os.environ.get("SECRET_KEY") or secrets.token_urlsafe(32)
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "ninja",
    "pubsubpull",
    "example.shop",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "example.shop.tokens.TokenMiddleware",
    "pubsubpull.middleware.RequestMiddleware",
]
ROOT_URLCONF = "example.shop.urls"
WSGI_APPLICATION = "example.shop.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
SESSION_COOKIE_NAME = "shop_session"  # billing is at the same host, where cookies know no port
DATABASES = {
    "default": dj_database_url.parse(
        os.environ.get("SHOP_DATABASE_URL", "postgresql://localhost/shop"), conn_max_age=600
    )
}
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
PUBSUBPULL = {"SERVICE_NAME": "shop", "DOCS": "public", "CALLBACK_ADDRESSES": ["127.0.0.0/8"]}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
