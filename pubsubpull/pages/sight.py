"""The models and rows that a user of the admin may see, deleted rows included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DataError
from django.http import Http404

from pubsubpull import exceptions
from pubsubpull.audit.history import targets
from pubsubpull.capture import registry

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite, ModelAdmin
    from django.db.models import Model, QuerySet
    from django.http import HttpRequest


def models(request: HttpRequest, site: AdminSite) -> list[str]:
    """Return the labels of the models whose changes in the log a user may see, all of them."""
    published = registry.all_publications().items()
    return [
        label
        for label, publication in published
        if may_see(request, site, publication.model) and sees_all(request, site, publication.model)
    ]


def may_see(request: HttpRequest, site: AdminSite, model: type[Model]) -> bool:
    """True if the model's admin, or without an admin the user's permissions, allow to view the model."""
    admin = site._registry.get(model)
    if admin is not None:
        return bool(admin.has_view_permission(request))
    opts = model._meta
    return any(request.user.has_perm(f"{opts.app_label}.{what}_{opts.model_name}") for what in ("view", "change"))


def sees_all(request: HttpRequest, site: AdminSite, model: type[Model]) -> bool:
    """True if a user may see the histories of all rows of a model, deleted rows included."""
    admin: Any = site._registry.get(model)
    if admin is None:
        return True
    # A project's own rule comes first: it can name users for whom a narrowed queryset hides nothing secret.
    asked = getattr(admin, "has_full_history_permission", None)
    return bool(asked(request)) if asked is not None else not is_narrowed(request, admin)


def is_narrowed(request: HttpRequest, admin: ModelAdmin[Any]) -> bool:
    """True if the admin's `get_queryset` leaves rows out for this user."""
    # Its conditions are compared, since a deleted row cannot be looked for in the queryset.
    shown = admin.get_queryset(request).query
    whole = admin.model._default_manager.get_queryset().query
    return bool(shown.is_sliced or shown.combinator or shown.where != whole.where)


def rows(request: HttpRequest, site: AdminSite, model: type[Model]) -> QuerySet[Any] | None:
    """Return the rows of a model that a user may see; None if the user may not see the model."""
    if not may_see(request, site, model):
        return None
    admin = site._registry.get(model)
    # Unordered: an admin's own order may join other tables, and nothing here needs an order.
    return (model._base_manager.all() if admin is None else admin.get_queryset(request)).order_by()


def object_of(request: HttpRequest, admin: ModelAdmin[Any], key: str, *, using: str) -> tuple[Any, str]:
    """Return an object, or None if it was deleted, and its key in the log.

    Raises `PermissionDenied`, and `Http404` for an object that never existed or that this user may not see.
    """
    # PostgreSQL has no text with a NUL, and refuses a query with one.
    if "\0" in key:
        raise Http404
    try:
        instance = admin.get_object(request, key)
    except DataError as error:
        raise Http404 from error
    if not admin.has_view_permission(request, instance):
        raise PermissionDenied
    # A row that exists was left out by the admin's queryset; of a deleted row nobody knows whether it would be.
    if instance is None and (_exists(admin, key) or not sees_all(request, admin.admin_site, admin.model)):
        raise Http404
    try:
        target = (admin.model, key) if instance is None else (instance,)
        return instance, targets.identify(*target, using=using)[1]
    except exceptions.HistoryError as error:
        raise Http404 from error


def _exists(admin: ModelAdmin[Any], key: str) -> bool:
    try:
        # Not the default manager, which may leave rows out itself.
        return bool(admin.model._base_manager.filter(pk=key).exists())
    # A key that is no value of the primary key's field.
    except (ValueError, ValidationError, TypeError):
        return False
