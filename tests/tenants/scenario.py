"""Two tenants and their shared tables: written to, migrated again, mended; prints the contents of each log, as JSON."""

from __future__ import annotations

import json

import django
from django.core.management import call_command
from django.db import connection
from django.test import override_settings

django.setup()

from django_tenants.utils import schema_context  # noqa: E402  the apps come first

from pubsubpull.capture import planning  # noqa: E402
from pubsubpull.checks import publications as publications_checks  # noqa: E402
from pubsubpull.log import feed  # noqa: E402
from pubsubpull.log.models import Change  # noqa: E402
from tests.tenants.goods.models import Item  # noqa: E402
from tests.tenants.hosting.models import Tenant  # noqa: E402

SCHEMAS = ["public", "ann", "bob"]


def captured() -> dict[str, int]:
    """Return for each schema how many triggers capture its tables."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n.nspname, count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE t.tgname LIKE '00\\_pubsubpull%' GROUP BY 1"
        )
        return dict(cursor.fetchall())


def look(schema: str) -> list[list[str]]:
    """Return the model and the name of each change in a schema's log, as the feed gives them and as the ORM does."""
    with schema_context(schema):
        present = feed.present()
        page = feed.page(None, models=["hosting.tenant", "goods.item"], limit=100)
        of_feed = sorted(change["new"]["name"] for change in json.loads(b"[%b]" % page.items))
        of_orm = sorted(Change.objects.values_list("new__name", flat=True))
        assert of_feed == of_orm, (schema, of_feed, of_orm)
        assert planning.plan().actions == ()
        assert present.top >= len(of_orm)
        return of_orm


def main() -> None:
    """Do it all."""
    call_command("check", fail_level="ERROR")
    with override_settings(TENANT_APPS=["tests.tenants.goods"]):
        wrong = [f"{error.id} {error.obj._meta.label}" for error in publications_checks.check_tenants()]
    call_command("migrate_schemas", verbosity=0)
    Tenant.objects.create(schema_name="public", name="all")
    for name in ("ann", "bob"):
        Tenant.objects.create(schema_name=name, name=name)
    made = captured()
    for name in ("ann", "bob"):
        with schema_context(name):
            Item.objects.create(name=f"of {name}")
    call_command("migrate_schemas", verbosity=0)
    with schema_context("ann"):
        call_command("pubsubpull_triggers", "--sync", verbosity=0)
    again = captured()
    for name in ("bob", "ann"):
        with schema_context(name):
            Item.objects.create(name=f"more of {name}")
    print(
        json.dumps({"wrong": wrong, "made": made, "again": again, "logs": {schema: look(schema) for schema in SCHEMAS}})
    )


main()
