"""`history()`: the changes of an object, a user, a request or the whole log, newest first, page by page."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
import uuid
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils import timezone
from psycopg import sql as psql

from pubsubpull import conf, exceptions
from pubsubpull.audit.context import actors
from pubsubpull.audit.history import results, targets
from pubsubpull.capture import hiding, sql
from pubsubpull.log import spans, subjects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db import models as django_models


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effort:
    """The bound on the search for a page. By default each page takes some tens of milliseconds at most."""

    changes: int = 1000
    """The changes that the first query examines. Each further query examines twice as many."""
    seconds: float = 0.005
    """The time after which no further query is made, even if the page is not full."""


USUAL_EFFORT = Effort()


def history(
    target: Any = None,
    key: Any = None,
    /,
    *,
    user: Any = None,
    request: uuid.UUID | str | None = None,
    models: Iterable[type[django_models.Model] | str] | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    column: str | None = None,
    path: str | None = None,
    before: int | None = None,
    limit: int = 100,
    using: str | None = None,
    effort: Effort = USUAL_EFFORT,
) -> results.History:
    """Return a page of changes, newest first: `history(obj)`, `history(Order, key)`, or `history()` for the whole log.

    `user` is a user object or an id, `request` a request's id, `models` a list of models or labels, `column` a column
    that differs, `path` the start of the request's path. `since` <= time of the change < `until`; both need a time
    zone if USE_TZ is on. Changes of a user come request by request, the latest request first.

    `effort` bounds the search, so a page may be empty before the end: go on with `before=page.next` until it is None.
    Raises `HistoryError` if an argument does not fit.
    """
    if limit < 1:
        raise exceptions.HistoryError(f"limit: give 1 or more, not {limit}.")
    using = using or conf.get().DATABASE
    before = spans.LATEST if before is None else before
    user_id = None if user is None else _user_id(user)
    filters: dict[str, Any] = {
        "models": None if models is None else [targets.label(model) for model in models],
        "since": aware("since", since),
        "until": aware("until", until),
        "user": user_id,
        "column": column,
        "path": path,
    }
    kind: str
    parts: dict[str, Any]
    if target is not None:
        name, text = targets.identify(target, key, using=using)
        kind, parts = "object", {"model": name, "key": text}
    elif request is not None:
        kind, parts = "request", {"request": _uuid(request)}
    elif user_id is not None:
        kind, parts = "user", {"user": user_id}
        # The index finds changes of this user only: no need to compare each of them again.
        filters["user"] = None
    else:
        # The log has no index on its times: bounds on the ids keep the search from starting at the newest change.
        floor, ceiling = spans.bounds(filters["since"], filters["until"], using)
        parts = {"floor": floor, "since": filters["since"], "until": filters["until"]}
        kind, before = "log", min(before, ceiling)
    return _page(kind, filters, before=before, limit=limit, using=using, effort=effort, **parts)


def _page(
    kind: str, filters: dict[str, Any], *, before: int, limit: int, using: str, effort: Effort, **parts: Any
) -> results.History:
    """Search further and further back until the page is full, the history ends, or the time of `effort` is over."""
    began, most, entries = time.monotonic(), effort.changes, list[results.Entry]()
    while True:
        if kind == "user":
            parts["started"] = _started(before, filters["until"], using)
        rest = limit - len(entries)
        # A query that examines fewer changes than the page lacks could never fill it.
        most = max(most, rest)
        rows = sql.run(using, query_of(kind, filters, before=before, limit=rest, most=most, **parts))
        entries += [results.entry(*row) for _, fits, *row in rows if fits]
        # Fewer rows than asked for, and fewer changes than allowed: the history ends here.
        if not rows or (len(rows) < rest and rows[-1][0] < most):
            return results.History(entries=tuple(entries), next=None)
        # The last change that was examined, even if it does not fit: the next search must not examine it again.
        before = rows[-1][2]
        if len(entries) == limit or time.monotonic() - began > effort.seconds:
            return results.History(entries=tuple(entries), next=before)
        most *= 2


def query_of(kind: str, filters: dict[str, Any], *, before: int, limit: int, most: int, **parts: Any) -> psql.Composed:
    """Return the query of a page, which examines `most` changes and returns `limit` of them.

    `kind` is `object`, `request`, `user` or `log`, and selects the index to read by. `filters` has a value, or
    None, for each filter.
    """
    files = {
        "object": "queries/history/object",
        "request": "queries/history/request",
        "user": "queries/history/user",
        "log": "queries/history/log",
    }
    fits = sql.compose("queries/history/fits", hiding=hiding.labels_of(filters["column"]), **filters)
    if kind == "object":
        parts["events"] = _events(before=before, most=most, **parts)
    seen = sql.compose(files[kind], fits=fits, before=before, most=most, **parts)
    # The hidden columns of all models: the changes of a user or a request are of any model.
    images = {name: hiding.shown(name, hiding.hidden(None), alias="c") for name in ("old", "new")}
    return sql.compose("queries/history/page", seen=seen, most=most, limit=limit, **images)


def _events(*, model: str, key: str, before: int, most: int) -> psql.Composable:
    """Return the part of an object's query that reads the events about it; nothing if its model is no subject."""
    labels = subjects.events_of(model)
    if not labels:
        return psql.SQL("")
    return sql.compose("queries/history/events", labels=labels, key=key, before=before, most=most)


def _user_id(user: Any) -> str:
    if isinstance(user, (str, int)):
        return str(user)
    actor = actors.of(user)
    if actor is None:
        raise exceptions.HistoryError("user: give a user that is not anonymous, or a user's id.")
    return actor.id


def _uuid(request: uuid.UUID | str) -> uuid.UUID:
    try:
        return request if isinstance(request, uuid.UUID) else uuid.UUID(request)
    except ValueError as error:
        raise exceptions.HistoryError(f"request: give a UUID, not {request!r}.") from error


def aware(field: str, moment: dt.datetime | None) -> dt.datetime | None:
    """Return a datetime in UTC; None for None. `field` names the argument in errors.

    Raises `HistoryError` if the datetime has no time zone though USE_TZ is on, or is out of range.
    """
    if moment is None:
        return None
    if moment.tzinfo is None:
        if settings.USE_TZ:
            raise exceptions.HistoryError(f"{field}: give a datetime with a time zone.")
        # With USE_TZ off, all times of a project are in TIME_ZONE.
        moment = timezone.make_aware(moment)
    # Always in UTC: PostgreSQL accepts smaller offsets only than Python does.
    try:
        return moment.astimezone(dt.UTC)
    except OverflowError as error:
        raise exceptions.HistoryError(f"{field}: give a time in the years 1 to 9999 in UTC.") from error


def _started(before: int, until: dt.datetime | None, using: str) -> dt.datetime | str:
    """Return the start of the latest request that a page of a user's changes may have."""
    # A first page. A request may have started after its change by its own clock, so the bound is widened.
    if before == spans.LATEST:
        return "infinity" if until is None else spans.widened(until, spans.CLOCK_SLACK)
    # A later page continues with the request of the last change on the page before.
    rows = sql.run(using, sql.compose("queries/history/started_of", id=before))
    return rows[0][0] if rows else "-infinity"
