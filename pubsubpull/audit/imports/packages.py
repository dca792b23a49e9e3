"""The packages from which a past can be imported, by the names that commands use."""

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
"""By name, the label of a package's app. The module here that reads its tables has the same name."""


def imports(package: str, labels: Iterable[str], *, using: str, oldest: dt.datetime | None = None) -> list[Import]:
    """Return the imports of the models `labels`, or of all models with a past in the package if there are none.

    Changes older than `oldest` are not imported. Raises `ImportFailed` if the package is not installed, or if a model
    is not captured or has no past in it.
    """
    module: Any = importlib.import_module(f"pubsubpull.audit.imports.{PACKAGES[package]}")
    if not apps.is_installed(PACKAGES[package]):
        raise exceptions.ImportFailed(
            f"django-{package} is not in INSTALLED_APPS, but the import needs its models. Keep the app there until the "
            "import is done."
        )
    chosen = [_published(label) for label in labels]
    for publication in chosen:
        if not module.has(publication):
            if publication.key_columns[1:] and package != "auditlog":
                raise exceptions.ImportFailed(
                    f"{publication.label} has a composite primary key: django-{package} does not support such models."
                )
            raise exceptions.ImportFailed(f"{publication.label} has no past in django-{package}: leave the model out.")
    chosen = chosen or [publication for publication in registry.all_publications().values() if module.has(publication)]
    if not chosen:
        raise exceptions.ImportFailed(
            f"No published model has a past in django-{package}. Publish the model first, and migrate."
        )
    _check_captured(chosen, using)
    return [Import(p, module.Source(p, using=using), using=using, oldest=oldest) for p in chosen]


def _check_captured(chosen: Iterable[Publication], using: str) -> None:
    """Raise `ImportFailed` if a table lacks a trigger."""
    # A change between the import and the start of capture would be in neither.
    plan = planning.plan(using)
    missing = {(action.schema, action.table) for action in plan.actions if action.verb == "create"} if plan else set()
    for publication in chosen:
        table = plan.tables.get(publication.label) if plan else None
        if table is None or (table.schema, table.table) in missing:
            raise exceptions.ImportFailed(f"{publication.label} is not captured yet: run migrate first.")


def _published(label: str) -> Publication:
    publication = registry.get(label.lower())
    if publication is None:
        raise exceptions.ImportFailed(
            f"{label} is not published. Published are: {', '.join(registry.all_publications())}."
        )
    return publication
