"""System checks of published models, without a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.core import checks

from pubsubpull.capture import registry
from pubsubpull.events import declare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django.core.checks import CheckMessage

    from pubsubpull.capture.registry import Publication


@checks.register("pubsubpull")
def check_publications(**_: Any) -> list[CheckMessage]:
    """W002: a parent is not published. E003: an unknown database. W012: published twice. E014: another's label.

    E015: a model and an event have one label.
    """
    messages = [*_published_twice(), *_events()]
    for publication in registry.all_publications().values():
        messages += [*_parents(publication), *_databases(publication), *_labels(publication)]
    return messages


def _published_twice() -> Iterator[CheckMessage]:
    for label in registry.replaced():
        yield checks.Warning(
            f"{label} is published more than once, with different options; the latest publication holds.",
            hint="Publish it once. A proxy's publication is its model's, with `exclude` and `mask` too.",
            id="pubsubpull.W012",
        )


def _events() -> Iterator[CheckMessage]:
    for label in sorted(registry.all_publications().keys() & declare.all_kinds().keys()):
        yield checks.Error(
            f"{label} is the label of a published model and of an event: readers could not tell them apart.",
            hint="Give the event another label=….",
            id="pubsubpull.E015",
        )


def _parents(publication: Publication) -> Iterator[CheckMessage]:
    for parent in map(registry.label_of, publication.model._meta.parents):
        if registry.get(parent) is None:
            yield checks.Warning(
                f"{publication.label} is published, but its parent {parent} is not.",
                hint="The parent's fields are in the parent's table: publish it too, to have their changes.",
                obj=publication.model,
                id="pubsubpull.W002",
            )


def _databases(publication: Publication) -> Iterator[CheckMessage]:
    for alias in publication.using or ():
        if alias not in settings.DATABASES:
            yield checks.Error(
                f"{publication.label} is published for a database {alias!r} that DATABASES does not have.",
                hint="Correct `using`.",
                obj=publication.model,
                id="pubsubpull.E003",
            )


def _labels(publication: Publication) -> Iterator[CheckMessage]:
    if publication.given_label and _is_anothers(publication.given_label, publication.model):
        yield checks.Error(
            f"{registry.own_label(publication.model)} is published as {publication.label}, which is the label "
            "of another model.",
            hint="Publish it under a label that no other model has, or rename that model.",
            obj=publication.model,
            id="pubsubpull.E014",
        )


def _is_anothers(label: str, model: Any) -> bool:
    return any(registry.own_label(one) == label for one in apps.get_models() if one is not model)


@checks.register("pubsubpull")
def check_tenants(**_: Any) -> list[CheckMessage]:
    """E050: with django-tenants, published models have tables in schemas that have no log."""
    if not apps.is_installed("django_tenants"):
        return []
    lists = {name: getattr(settings, name, ()) for name in ("SHARED_APPS", "TENANT_APPS")}
    return [
        checks.Error(
            f"{publication.label} is published, and its app is in {name}, which pubsubpull is not in: "
            "its tables are in schemas that have no log.",
            hint=f"Add 'pubsubpull' to {name}: each schema has a log of its own.",
            obj=publication.model,
            id="pubsubpull.E050",
        )
        for publication in registry.all_publications().values()
        for name, listed in lists.items()
        if _of(publication.model._meta.app_label, listed) and not _of("pubsubpull", listed)
    ]


def _of(app_label: str, listed: Iterable[str]) -> bool:
    """Say whether an app is listed, by its name or its configuration."""
    config = apps.get_app_config(app_label)
    return bool({config.name, f"{type(config).__module__}.{type(config).__qualname__}"} & set(listed))
