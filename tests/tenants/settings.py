"""Settings of the project with django-tenants; pubsubpull is both a shared app and a tenant's."""

from __future__ import annotations

import os

import dj_database_url

SECRET_KEY = "only for tests"
DATABASES = {
    "default": dj_database_url.parse(os.environ["DATABASE_URL"]) | {"ENGINE": "django_tenants.postgresql_backend"}
}
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
TENANT_MODEL, TENANT_DOMAIN_MODEL = "hosting.Tenant", "hosting.Domain"
SHARED_APPS = ["django_tenants", "django.contrib.contenttypes", "ninja", "pubsubpull", "tests.tenants.hosting"]
TENANT_APPS = ["django.contrib.contenttypes", "pubsubpull", "tests.tenants.goods"]
INSTALLED_APPS = list(dict.fromkeys(SHARED_APPS + TENANT_APPS))
MIDDLEWARE = ["django_tenants.middleware.main.TenantMainMiddleware", "pubsubpull.middleware.RequestMiddleware"]
USE_TZ = True
