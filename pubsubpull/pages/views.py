"""The pages: an object's history, its restoring, a request, and the log. They show what Django's `view` permits."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils import dateparse, timezone

from pubsubpull import conf, exceptions
from pubsubpull.audit import export, history, restore
from pubsubpull.capture import keys, registry
from pubsubpull.pages import values

if TYPE_CHECKING:
    import uuid

    from django.contrib.admin import AdminSite, ModelAdmin
    from django.db.models import Model
    from django.http.response import HttpResponseBase

PAGE = 50


def object_history(request: HttpRequest, admin: ModelAdmin[Any], key: str) -> HttpResponseBase:
    """Show the timeline of one object, which may be gone."""
    found = _object(request, admin, key)
    label = history.label(admin.model)
    asked, errors = _asked(request.GET)
    if (kind := _export(request, errors)) is not None:
        changes = export.entries(label, key, **asked, using=_using())
        return export.response(request, changes, kind=kind, name=f"{label}-{key}", mark=True)
    page = history.history(label, key, **asked, limit=PAGE, using=_using())
    if found is None and not page.entries and not request.GET:
        raise Http404
    context = {
        "title": f"History of {found or f'{admin.opts.verbose_name} {key} (deleted)'}",
        "opts": admin.opts,
        "object": found,
        "columns": _columns(label, page),
        "may_restore": _may_restore(request, admin, found),
        "with_key": False,
    }
    return _answer(
        request, admin.admin_site, "history", {**context, **_timeline(request, admin.admin_site, page, errors)}
    )


def object_restore(request: HttpRequest, admin: ModelAdmin[Any], key: str) -> HttpResponse:
    """Show what restoring a version would change, and with POST do it."""
    found = _object(request, admin, key)
    if not _may_restore(request, admin, found):
        raise PermissionDenied
    label, using = history.label(admin.model), _using()
    given = request.POST if request.method == "POST" else request.GET
    version = _number(given.get("version"))
    latest = _number(given.get("latest")) or _latest(label, key, using)
    try:
        before = restore.preview(label, key, version, using=using)
        if request.method == "POST":
            restore.restore(label, key, version, latest=latest, using=using)
            messages.success(request, f"Version {version} of {label} {key} was restored.")
            return HttpResponseRedirect("../")
        error = None
    except exceptions.RestoreError as caught:
        before, error = {}, str(caught)
    changes = [values.difference(label, column, *pair, {}) for column, pair in before.items()]
    context = {
        "title": f"Restore version {version} of {found or key}",
        "opts": admin.opts,
        "changes": changes,
        "error": error,
        "version": version,
        "latest": latest,
    }
    return _answer(request, admin.admin_site, "restore", context, status=409 if error else 200)


def request_page(request: HttpRequest, site: AdminSite, request_id: uuid.UUID) -> HttpResponse:
    """Show a request and everything it changed, of the models that may be seen."""
    before = _number(request.GET.get("before")) or None
    visible = _visible(request, site)
    page = history.history(request=request_id, models=visible, before=before, limit=PAGE, using=_using())
    if not page.entries:
        raise Http404
    context = {"title": "Request", "one": page[0].request, "with_key": True}
    return _answer(request, site, "request", {**context, **_timeline(request, site, page, [])})


def log_page(request: HttpRequest, site: AdminSite) -> HttpResponseBase:
    """Show the log: searched by model, key, person, path and time."""
    asked, errors = _asked(request.GET)
    visible = _visible(request, site)
    model, key = request.GET.get("model", ""), request.GET.get("key", "").strip()
    target = (model, key) if model in visible and key else ()
    chosen = [model] if model in visible else visible
    if key and not target:
        errors.append("Choose a model to search for a key.")
    if (kind := _export(request, errors)) is not None:
        changes = export.entries(*target, **asked, models=chosen, using=_using())
        return export.response(request, changes, kind=kind, name="log", mark=True)
    page = history.history(*target, **asked, models=chosen, limit=PAGE, using=_using())
    context = {"title": "Log", "models": visible, "with_key": True}
    return _answer(request, site, "log", {**context, **_timeline(request, site, page, errors)})


def _columns(label: str, page: history.History) -> list[str]:
    """Return the columns to choose from: those that there are, and those that these changes are of besides."""
    there = [str(field.column) for field in history.published(label).model._meta.local_concrete_fields]
    return there + sorted({column for entry in page for column in entry.changed} - set(there))


def _asked(given: Any) -> tuple[dict[str, Any], list[str]]:
    """Return what a form asks for as arguments of `history`, and what is wrong with it."""
    errors: list[str] = []
    asked: dict[str, Any] = {name: given.get(name, "").strip() or None for name in ("user", "column", "path")}
    for name in ("since", "until"):
        asked[name] = moment = _moment(given.get(name, ""))
        if given.get(name) and moment is None:
            errors.append(f"{name}: it is a date or a date and a time.")
    asked["before"] = _number(given.get("before")) or None
    return asked, errors


def _export(request: HttpRequest, errors: list[str]) -> str | None:
    """Return the kind of file that is asked for; None where a page is, or what is asked for is not clear."""
    kind = request.GET.get("format", "")
    return kind if kind in export.TYPES and not errors else None


def _moment(text: str) -> dt.datetime | None:
    try:
        found = dateparse.parse_datetime(text)
        day = None if found else dateparse.parse_date(text)
    except ValueError:
        return None
    found = found or (dt.datetime.combine(day, dt.time()) if day else None)
    return timezone.make_aware(found) if found and timezone.is_naive(found) else found


def _number(text: str | None) -> int:
    digits = (text or "").removeprefix("-")  # imported changes have versions below 0
    return int(text) if text and digits.isascii() and digits.isdigit() and len(digits) < 19 else 0


def _timeline(request: HttpRequest, site: AdminSite, page: history.History, errors: list[str]) -> dict[str, Any]:
    names = values.related(page, using=_using(), may_see=lambda model: _may_see(request, site, model))
    given = request.GET.dict()
    older = urlencode({**given, "before": page.next}) if page.next else None
    chosen = {name: value for name, value in given.items() if name != "before"}
    files = [(kind.upper(), urlencode({**chosen, "format": kind})) for kind in export.TYPES]
    rows = [{"entry": e, "changes": values.differences(e, names), "url": _history_url(site, e)} for e in page]
    return {"rows": rows, "older": older, "files": files, "given": request.GET, "errors": errors}


def _history_url(site: AdminSite, entry: history.Entry) -> str | None:
    publication = registry.get(entry.model)
    if publication is None or entry.key is None:
        return None
    opts = publication.model._meta
    try:
        return reverse(f"{site.name}:{opts.app_label}_{opts.model_name}_history", args=[quote(entry.key)])
    except NoReverseMatch:
        return None


def _visible(request: HttpRequest, site: AdminSite) -> list[str]:
    return [label for label, one in registry.all_publications().items() if _may_see(request, site, one.model)]


def _may_see(request: HttpRequest, site: AdminSite, model: type[Model]) -> bool:
    """Ask the model's admin, or where it has none the user's permission."""
    admin = site._registry.get(model)
    if admin is not None:
        return bool(admin.has_view_permission(request))
    opts = model._meta
    return any(request.user.has_perm(f"{opts.app_label}.{what}_{opts.model_name}") for what in ("view", "change"))


def _object(request: HttpRequest, admin: ModelAdmin[Any], key: str) -> Any:
    """Return the object, None where it is gone. One that the admin hides from this user is not found."""
    found = admin.get_object(request, key)
    if not admin.has_view_permission(request, found):
        raise PermissionDenied
    try:
        hidden = found is None and admin.model._base_manager.filter(pk=key).exists()
    except (ValueError, ValidationError, TypeError):
        hidden = False
    if hidden:
        raise Http404
    return found


def _may_restore(request: HttpRequest, admin: ModelAdmin[Any], found: Any) -> bool:
    """Say whether a user may: to bring a deleted object back takes the permission to add."""
    return admin.has_add_permission(request) if found is None else admin.has_change_permission(request, found)


def _latest(label: str, key: str, using: str) -> int | None:
    page = history.history(label, keys.text(key), limit=1, using=using)
    return page[0].version if page.entries else None


def _using() -> str:
    return conf.get().DATABASE


def _answer(
    request: HttpRequest, site: AdminSite, name: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    setattr(request, "current_app", site.name)  # noqa: B010  Django reads it, its types do not know it
    whole = {**site.each_context(request), **context}
    return TemplateResponse(request, f"pubsubpull/{name}.html", whole, status=status)
