"""The page that restores: it shows the differences, and asks for values that the log does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import flatten_fieldsets
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpResponseRedirect

from pubsubpull import exceptions
from pubsubpull.audit.history import history, restore
from pubsubpull.pages import sight, texts, values
from pubsubpull.pages.answers import answer, number, using_now

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.contrib.admin import ModelAdmin
    from django.http import HttpRequest, HttpResponse


def may_restore(request: HttpRequest, admin: ModelAdmin[Any], found: Any) -> bool:
    """Say whether a user may: to bring a deleted object back takes the permission to add."""
    return admin.has_add_permission(request) if found is None else admin.has_change_permission(request, found)


def latest(label: str, key: str, using: str) -> int | None:
    """Return the version of an object's last change."""
    page = history.history(label, key, limit=1, using=using)
    return page[0].version if page.entries else None


def object_restore(request: HttpRequest, admin: ModelAdmin[Any], key: str) -> HttpResponse:
    """Show the differences that restoring a version would make; with POST, restore it."""
    using, label = using_now(), history.label(admin.model)
    instance, key = sight.object_of(request, admin, key, using=using)
    if not may_restore(request, admin, instance):
        raise PermissionDenied
    given = request.POST if request.method == "POST" else request.GET
    version, seen = number(given.get("version")), number(given.get("latest")) or latest(label, key, using)
    if instance is None and not seen:
        raise Http404
    touched = touched_fields(admin.model)
    keep = kept_fields(request, admin, instance)
    ways: dict[str, Any] = {"keep": [field.column for field in keep], "using": using}
    changes: dict[str, tuple[Any, Any]] = {}
    form, error = None, None
    try:
        preview = restore.preview(label, key, version, **ways)
        unknown = preview.unknown
        asked = {field.name: field for field in unknown if field not in keep}
        form = unknown_form(asked.values(), request.POST if request.method == "POST" else None)
        asked = {name: field for name, field in asked.items() if name in form.fields}
        told = {str(field.column): field.pre_save(admin.model(), add=False) for field in touched}
        told |= {field.column: field.get_default() for field in unknown if field.name not in asked}
        if request.method == "POST" and form.is_valid():
            told |= {field.column: plain(form.cleaned_data[name]) for name, field in asked.items()}
            restore.restore(label, key, version, values=told, latest=seen, **ways)
            messages.success(request, f"Version {version} of {label} {key} was restored.")
            return HttpResponseRedirect("../")
        told_columns = [*told, *(field.column for field in asked.values())]
        changes = preview.changes(told_columns)
    except exceptions.RestoreError as caught:
        error = str(caught)
    names = values.names_of(
        [(label, changes)], using=using, rows=lambda model: sight.rows(request, admin.admin_site, model)
    )
    effort = texts.Effort()
    context = {
        "title": f"Restore version {version} of {instance or key}",
        "opts": admin.opts,
        "object": instance,
        "changes": [values.difference(label, column, pair, names, effort) for column, pair in changes.items()],
        "error": error,
        "form": form,
        "kept": titles(keep),
        "touched": titles(touched),
        "version": str(version),
        "latest": str(seen or ""),
    }
    status = 409 if error else 422 if form is not None and form.errors else 200
    return answer(request, admin.admin_site, "restore", context, status=status)


def kept_fields(request: HttpRequest, admin: ModelAdmin[Any], found: Any) -> list[models.Field[Any, Any]]:
    """Return the fields that a user may not write by the admin's form: restoring leaves them as they are, or were."""
    shown = set(flatten_fieldsets(admin.get_fieldsets(request, found)))
    writable = shown - set(admin.get_readonly_fields(request, found))
    fields = admin.model._meta.local_concrete_fields
    return [f for f in fields if f.name not in writable and not f.primary_key and not _touched(f)]


def touched_fields(model: type[models.Model]) -> list[models.Field[Any, Any]]:
    """Return the fields that saving sets to its moment."""
    return [field for field in model._meta.local_concrete_fields if _touched(field)]


def _touched(field: Any) -> bool:
    return bool(getattr(field, "auto_now", False))


def unknown_form(fields: Iterable[models.Field[Any, Any]], data: Any) -> forms.Form:
    """Return a form that asks for columns of a deleted row, with the defaults of a new row as a start."""
    form = forms.Form(data, prefix="unknown")
    for field in fields:
        is_file = isinstance(field, models.FileField)
        form_field = forms.CharField(required=not field.blank) if is_file else field.formfield()
        if form_field is not None:
            form_field.initial = field.get_default() if form_field.initial is None else form_field.initial
            form.fields[field.name] = form_field
    return form


def plain(value: Any) -> Any:
    """Return a form's value as a column's: a related object as its key."""
    return value.pk if isinstance(value, models.Model) else value


def titles(fields: Iterable[models.Field[Any, Any]]) -> str:
    """Return the names of fields as people read them."""
    return ", ".join(str(field.verbose_name) for field in fields)
