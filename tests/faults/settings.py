"""Settings of the service whose changes are delivered while all around it fails."""

from __future__ import annotations

import json
import logging
import os
import sys

import dj_database_url

SECRET_KEY = "only for tests"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "ninja", "pubsubpull", "tests.faults"]
MIDDLEWARE = ["pubsubpull.middleware.RequestMiddleware"]
DATABASES = {"default": dj_database_url.parse(os.environ.get("FAULTS_DATABASE_URL", "postgresql://localhost/none"))}
DATABASES["default"]["OPTIONS"] = {"connect_timeout": 5}
ROOT_URLCONF = "tests.faults.urls"
ALLOWED_HOSTS = ["127.0.0.1"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
PUBSUBPULL = {
    "SERVICE_NAME": "bank",
    "CALLBACK_ADDRESSES": ["127.0.0.0/8"],
    "LEASE": 2.0,
    "POLL_INTERVAL": 0.01,
    "IDLE_INTERVAL": 0.1,
    "CONNECT_TIMEOUT": 2.0,
    "READ_TIMEOUT": 3.0,
    "BACKOFF_FIRST": 0.05,
    "BACKOFF_LIMIT": 0.5,
    "BREAKER_LIMIT": 0.5,
    **json.loads(os.environ.get("FAULTS_SETTINGS", "{}")),
}
logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
