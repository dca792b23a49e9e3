"""The page that restores a version: it shows the differences, and asks for values that the log does not have."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import flatten_fieldsets
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpResponseRedirect

from pubsubpull import exceptions
from pubsubpull.audit.history import restore, targets
from pubsubpull.pages import sight, texts, values
from pubsubpull.pages.answers import answer, number, using_now

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.contrib.admin import ModelAdmin
    from django.http import HttpRequest, HttpResponse


def may_restore(request: HttpRequest, admin: ModelAdmin[Any], instance: Any) -> bool:
    """True if a user may restore an object. For a deleted object, None, this is the permission to add."""
    return admin.has_add_permission(request) if instance is None else admin.has_change_permission(request, instance)


def latest(label: str, key: str, using: str) -> int | None:
    """Return the version that `restore` takes for an object's last change."""
    return restore.last_version(label, key, using=using)


def object_restore(request: HttpRequest, admin: ModelAdmin[Any], key: str) -> HttpResponse:
    """Show the differences that restoring a version would make; with POST, restore it."""
    using, label = using_now(), targets.label(admin.model)
    instance, key = sight.object_of(request, admin, key, using=using)
    if not may_restore(request, admin, instance):
        raise PermissionDenied
    data = request.POST if request.method == "POST" else request.GET
    # The latest version that the user has seen comes back with the form: a change since then must not be overwritten.
    version, seen = number(data.get("version")), number(data.get("latest")) or latest(label, key, using)
    if instance is None and not seen:
        raise Http404
    attempt = _Attempt(admin=admin, keep=kept_fields(request, admin, instance))
    target: dict[str, Any] = {"model": label, "key": key, "version": version, "using": using}
    if attempt.run(request.POST if request.method == "POST" else None, latest=seen, **target):
        messages.success(request, f"Version {version} of {label} {key} was restored.")
        return HttpResponseRedirect("../")
    differences = attempt.changes.items()
    names = values.names_of(
        [(label, attempt.changes)], using=using, rows=lambda model: sight.rows(request, admin.admin_site, model)
    )
    effort = texts.Effort()
    context = {
        "title": f"Restore version {version} of {instance or key}",
        "opts": admin.opts,
        "object": instance,
        "changes": [values.difference(label, column, pair, names, effort) for column, pair in differences],
        "error": attempt.error,
        "form": attempt.form,
        "kept": titles(attempt.keep),
        "touched": titles(attempt.touched),
        "version": str(version),
        "latest": str(seen or ""),
    }
    return answer(request, admin.admin_site, "restore", context, status=attempt.status)


@dataclasses.dataclass(kw_only=True)
class _Attempt:
    """A preview of restoring a version and, if a form was sent and is valid, the restoring itself."""

    admin: ModelAdmin[Any]
    keep: list[models.Field[Any, Any]]
    """The fields that stay as they are."""
    form: forms.Form | None = None
    """The form for columns that the log does not know."""
    changes: dict[str, tuple[Any, Any]] = dataclasses.field(default_factory=dict)
    """The differences that restoring makes: a column's present value and the restored one."""
    error: str | None = None

    @property
    def touched(self) -> list[models.Field[Any, Any]]:
        return touched_fields(self.admin.model)

    @property
    def status(self) -> int:
        if self.error:
            return 409
        return 422 if self.form is not None and self.form.errors else 200

    def run(self, data: Any, *, model: str, key: str, version: int, latest: int | None, using: str) -> bool:
        """Fill in `form`, `changes` or `error`; True if the version was restored."""
        ways: dict[str, Any] = {"keep": [field.column for field in self.keep], "using": using}
        try:
            preview = restore.preview(model, key, version, **ways)
            fields = {field.name: field for field in preview.unknown if field not in self.keep}
            self.form = unknown_form(fields.values(), data)
            fields = {name: field for name, field in fields.items() if name in self.form.fields}
            # A time that each save sets tells of this save, not of the version's.
            known = {str(field.column): field.pre_save(self.admin.model(), add=False) for field in self.touched}
            known |= {field.column: field.get_default() for field in preview.unknown if field.name not in fields}
            if data is not None and self.form.is_valid():
                known |= {field.column: plain(self.form.cleaned_data[name]) for name, field in fields.items()}
                restore.restore(model, key, version, values=known, latest=latest, **ways)
                return True
            self.changes = preview.changes([*known, *(field.column for field in fields.values())])
        except exceptions.RestoreError as error:
            self.error = str(error)
        return False


def kept_fields(request: HttpRequest, admin: ModelAdmin[Any], instance: Any) -> list[models.Field[Any, Any]]:
    """Return the fields that a user may not write by the admin's form. Restoring leaves these as they are, or were."""
    # Restoring is no way round the form: a field that is read-only there is not written here.
    shown = set(flatten_fieldsets(admin.get_fieldsets(request, instance)))
    writable = shown - set(admin.get_readonly_fields(request, instance))
    fields = admin.model._meta.local_concrete_fields
    return [f for f in fields if f.name not in writable and not f.primary_key and not _touched(f)]


def touched_fields(model: type[models.Model]) -> list[models.Field[Any, Any]]:
    """Return the fields that each save sets to its time."""
    return [field for field in model._meta.local_concrete_fields if _touched(field)]


def _touched(field: Any) -> bool:
    return bool(getattr(field, "auto_now", False))


def unknown_form(fields: Iterable[models.Field[Any, Any]], data: Any) -> forms.Form:
    """Return a form for columns of a deleted row. Its initial values are the defaults of a new row."""
    form = forms.Form(data, prefix="unknown")
    for field in fields:
        # A file's column is its name: the form must not upload another file.
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
    """Return the names of fields for people, with commas between them."""
    return ", ".join(str(field.verbose_name) for field in fields)
