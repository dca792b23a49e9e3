"""The pages: an object's history, a request, and the log. They show only objects that a user may view."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib.admin.utils import quote
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils import dateparse, timezone

from pubsubpull import exceptions
from pubsubpull.audit.history import export, history, results, targets
from pubsubpull.capture import registry
from pubsubpull.pages import restoring, sight, texts, values
from pubsubpull.pages.answers import answer, number, using_now

if TYPE_CHECKING:
    import uuid

    from django.contrib.admin import AdminSite, ModelAdmin
    from django.http.response import HttpResponseBase

CHANGES_A_PAGE = 50


def object_history(request: HttpRequest, admin: ModelAdmin[Any], key: str) -> HttpResponseBase:
    """Show the timeline of one object, which may have been deleted."""
    label, using = targets.label(admin.model), using_now()
    instance, key = sight.object_of(request, admin, key, using=using)
    asked, errors = _asked(request.GET)
    if (kind := _export(request, errors)) is not None:
        changes = export.entries(label, key, **asked, using=using)
        return export.response(request, changes, kind=kind, name=f"{label}-{key}", mark=True)
    page = history.history(label, key, **asked, limit=CHANGES_A_PAGE, using=using)
    # Without a filter: with one, an empty page of a deleted object is an answer.
    if instance is None and not page.entries and not request.GET:
        raise Http404
    context = {
        "title": f"History of {instance or f'{admin.opts.verbose_name} {key} (deleted)'}",
        "opts": admin.opts,
        "object": instance,
        "columns": _columns(label, page),
        "may_restore": restoring.may_restore(request, admin, instance),
        "current": restoring.latest(label, key, using) if instance else None,
        "with_key": False,
    }
    return answer(
        request, admin.admin_site, "history", {**context, **_timeline(request, admin.admin_site, page, errors)}
    )


def request_page(request: HttpRequest, site: AdminSite, request_id: uuid.UUID) -> HttpResponse:
    """Show a request and all its changes of the models that the user may see."""
    before = number(request.GET.get("before")) or None
    # All that follows is limited to these, exports too: the log has the changes of every model.
    visible = sight.models(request, site)
    page = history.history(request=request_id, models=visible, before=before, limit=CHANGES_A_PAGE, using=using_now())
    if not page.entries:
        raise Http404
    one = page[0].request
    context = {"title": "Request", "one": one, "metadata": values.metadata(one), "with_key": True}
    return answer(request, site, "request", {**context, **_timeline(request, site, page, [])})


def log_page(request: HttpRequest, site: AdminSite) -> HttpResponseBase:
    """Show the log: searched by model, key, person, path and time."""
    asked, errors = _asked(request.GET)
    visible = sight.models(request, site)
    # PostgreSQL refuses a text with a NUL.
    model, key = request.GET.get("model", ""), request.GET.get("key", "").strip().replace("\0", "")
    target: tuple[str, ...] = (model, key) if model in visible and key else ()
    chosen = [model] if model in visible else visible
    if key and not target:
        errors.append("Choose a model to search for a key.")
    try:
        target = targets.identify(*target, using=using_now()) if target else ()
    except exceptions.HistoryError as error:
        errors.append(str(error))
        target = ()
    if (kind := _export(request, errors)) is not None:
        changes = export.entries(*target, **asked, models=chosen, using=using_now())
        return export.response(request, changes, kind=kind, name="log", mark=True)
    page = history.history(*target, **asked, models=chosen, limit=CHANGES_A_PAGE, using=using_now())
    context = {"title": "Log", "models": visible, "with_key": True}
    return answer(request, site, "log", {**context, **_timeline(request, site, page, errors)})


def _columns(label: str, page: results.History) -> list[str]:
    """Return the columns to choose from: the model's present columns, and former columns of these changes."""
    present = [str(field.column) for field in targets.published(label).model._meta.local_concrete_fields]
    return present + sorted({column for entry in page for column in entry.changed} - set(present))


def _asked(query: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the fields of a form as arguments of `history`, and the form's errors."""
    errors: list[str] = []
    asked: dict[str, Any] = {name: query.get(name, "").strip() or None for name in ("user", "column", "path")}
    for name in ("since", "until"):
        asked[name] = moment = _moment(query.get(name, ""))
        if query.get(name) and moment is None:
            errors.append(f"{name}: it is a date or a date and a time.")
    if any("\0" in text for text in query.values()):
        errors.append("A search cannot have NUL characters.")
        asked = dict.fromkeys(asked)
    asked["before"] = number(query.get("before")) or None
    return asked, errors


def _export(request: HttpRequest, errors: list[str]) -> str | None:
    """Return the kind of file that the form asks for; None for a page, or if the form has errors."""
    kind = request.GET.get("format", "")
    return kind if kind in export.MEDIA_TYPES and not errors else None


def _moment(text: str) -> dt.datetime | None:
    try:
        moment = dateparse.parse_datetime(text)
        day = None if moment else dateparse.parse_date(text)
    except ValueError:
        return None
    moment = moment or (dt.datetime.combine(day, dt.time()) if day else None)
    moment = timezone.make_aware(moment) if moment and timezone.is_naive(moment) else moment
    try:
        return moment and moment.astimezone(dt.UTC)
    # The calendar's first and last days have no time in UTC in some zones.
    except OverflowError:
        return None


def _timeline(request: HttpRequest, site: AdminSite, page: results.History, errors: list[str]) -> dict[str, Any]:
    pairs = [(entry.model, entry.changed) for entry in page]
    names = values.names_of(pairs, using=using_now(), rows=lambda model: sight.rows(request, site, model))
    query = request.GET.dict()
    older = urlencode({**query, "before": page.next}) if page.next else None
    chosen = {name: value for name, value in query.items() if name != "before"}
    files = [(kind.upper(), urlencode({**chosen, "format": kind})) for kind in export.MEDIA_TYPES]
    # One effort for the page: a request may have changed any number of long texts.
    effort = texts.Effort()
    rows = [{"entry": e, "url": _history_url(site, e), **values.shown(e, names, effort)} for e in page]
    return {"rows": rows, "older": older, "files": files, "given": request.GET, "errors": errors}


def _history_url(site: AdminSite, entry: results.Entry) -> str | None:
    publication = registry.get(entry.model)
    if publication is None or entry.key is None:
        return None
    opts = publication.model._meta
    try:
        return reverse(f"{site.name}:{opts.app_label}_{opts.model_name}_history", args=[quote(entry.key)])
    # The model is not registered with this site.
    except NoReverseMatch:
        return None
