"""Creates the log if migrations are switched off, as in many test suites: Django cannot create it from models."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from django.core.management.base import CommandError
from django.db import connections, router
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from pubsubpull import migrations
from pubsubpull.capture import triggers

APP = "pubsubpull"
TABLE = "pubsubpull_change"


def before_migrate(*, using: str, **_: Any) -> None:
    """Run the app's migrations if MIGRATION_MODULES switches them off. Django then skips the tables that exist.

    Raises `CommandError` if Django has created the tables already, without the log's functions.
    """
    module, _explicit = MigrationLoader.migrations_module(APP)
    has_log = connections[using].vendor == "postgresql" and router.allow_migrate(using, APP)
    if module is not None or not has_log or triggers.log_schema(using) is not None:
        return
    # Django has created the tables of the models before, as with a kept test database. It never repeats that.
    if TABLE in connections[using].introspection.table_names():
        raise CommandError(
            f"The database {using} has the log's tables without its functions, and so captures nothing. Create the "
            "database anew (--create-db with pytest, no --keepdb with Django's own runner), or migrate pubsubpull."
        )
    _create(using)


def _create(using: str) -> None:
    # Not by Django's executor: it loads no migrations of an app for which MIGRATION_MODULES has None.
    state = ProjectState()
    # Sorted: each migration needs the state of the migrations before it.
    for name in sorted(module.name for module in pkgutil.iter_modules(migrations.__path__)):
        migration = importlib.import_module(f"{migrations.__name__}.{name}").Migration(name, APP)
        with connections[using].schema_editor(atomic=migration.atomic) as editor:
            state = migration.apply(state, editor)
