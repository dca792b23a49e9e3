"""Settings of a project with three other audit packages."""

from __future__ import annotations

from tests.settings import *  # noqa: F403  all but what follows
from tests.settings import DATABASES as GIVEN
from tests.settings import INSTALLED_APPS as APPS
from tests.settings import WORKER

INSTALLED_APPS = [
    *(app for app in APPS if app not in {"tests.shop", "tests.replicas"}),
    "simple_history",
    "auditlog",
    "pgtrigger",
    "pghistory",
    "tests.pasts.apps.Pasts",
]
DATABASES = {"default": {**GIVEN["default"], "TEST": {"NAME": f"test_pasts{WORKER}"}}}
ROOT_URLCONF = "tests.pasts.urls"
PUBSUBPULL = {"SERVICE_NAME": "pasts", "CALLBACK_ADDRESSES": ["127.0.0.0/8"]}
