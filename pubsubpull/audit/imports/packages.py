"""The packages whose past can be imported, by the names that they are asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from django.apps import apps

from pubsubpull import exceptions
from pubsubpull.audit.imports.past import Import
from pubsubpull.capture import planning, registry

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from pubsubpull.capture.registry import Publication

PACKAGES = {"simple-history": "simple_history", "auditlog": "auditlog", "pghistory": "pghistory"}


def imports(package: str, labels: Iterable[str], *, using: str, oldest: dt.datetime | None = None) -> list[Import]:
    """Return the imports of these models, or of all that have a past there; what is older than `oldest` stays out.

    Raises `ImportFailed` where the package is not installed, or a model is not captured or has no past there.
    """
    module: Any = importlib.import_module(f"pubsubpull.audit.imports.{PACKAGES[package]}")
    if not apps.is_installed(module.PACKAGE):
        raise exceptions.ImportFailed(
            f"django-{package} is not installed: its past is read through its models, so leave it in INSTALLED_APPS "
            "until it is imported."
        )
    chosen = [_published(label) for label in labels]
    for publication in chosen:
        if not module.has(publication):
            if publication.key_columns[1:] and module.PACKAGE != "auditlog":
                raise exceptions.ImportFailed(
                    f"{publication.label} has a composite primary key: django-{package} keeps no past of such a model."
                )
            raise exceptions.ImportFailed(f"{publication.label} has no past that django-{package} wrote down.")
    chosen = chosen or [one for one in registry.all_publications().values() if module.has(one)]
    if not chosen:
        raise exceptions.ImportFailed(
            f"No published model has a past that django-{package} wrote down. Publish the model first, and migrate."
        )
    _check_captured(chosen, using)
    return [Import(one, module.Source(one, using=using), using=using, oldest=oldest) for one in chosen]


def _check_captured(chosen: Iterable[Publication], using: str) -> None:
    """Raise where a table has not all its triggers: what changes between an import and capture would be in neither."""
    plan = planning.plan(using)
    missing = {(one.schema, one.table) for one in plan.actions if one.verb == "create"} if plan else set()
    for publication in chosen:
        table = plan.tables.get(publication.label) if plan else None
        if table is None or (table.schema, table.table) in missing:
            raise exceptions.ImportFailed(f"{publication.label} is not captured yet: run migrate first.")


def _published(label: str) -> Publication:
    found = registry.get(label.lower())
    if found is None:
        raise exceptions.ImportFailed(
            f"{label} is not published. Published are: {', '.join(registry.all_publications())}."
        )
    return found
