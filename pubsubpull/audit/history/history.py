"""History in code: what happened, newest first, a page at a time."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
import uuid
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models as django_models
from django.utils import timezone

from pubsubpull import conf, exceptions
from pubsubpull.audit.context import actors
from pubsubpull.capture import hiding, keys, registry, sql
from pubsubpull.log import spans
from pubsubpull.wire import jsontext, ops

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from psycopg import sql as psql

    from pubsubpull.capture.registry import Publication


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effort:
    """A bound on the search for a page, so that it takes some tens of milliseconds whatever is asked for."""

    changes: int = 1000
    """Changes that are looked at first; then twice as many, and so on."""
    seconds: float = 0.005
    """The time after which a page that is not full looks no further."""


USUAL_EFFORT = Effort()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One change: `changed` has the old and the new value of each column that differs; `request` is who made it.

    Where `op` is `erase`, there was a change, but what it was has been erased on request: old and new are not known.
    """

    version: int
    op: str
    at: dt.datetime
    model: str
    key: str | None
    old: dict[str, Any] | None
    new: dict[str, Any] | None
    request_id: uuid.UUID | None
    request: dict[str, Any] | None

    @property
    def changed(self) -> dict[str, tuple[Any, Any]]:
        """The old and the new value of each column that differs, by name."""
        old, new = self.old or {}, self.new or {}
        pairs = {name: (old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys())}
        return {name: pair for name, pair in pairs.items() if not _same(*pair)}

    @property
    def is_baseline(self) -> bool:
        """Whether the row was only recorded, as it was by then, with nothing changed."""
        return (self.request or {}).get("source") == "baseline"

    @property
    def user(self) -> str | None:
        """The name of who made it, as far as is known."""
        return (self.request or {}).get("user_name")


@dataclasses.dataclass(frozen=True, kw_only=True)
class History:
    """A page of history. `next` is the version to go on `before`, None at the end; a page may be empty and have one."""

    entries: tuple[Entry, ...]
    next: int | None

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, place: int) -> Entry:
        return self.entries[place]


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
) -> History:
    """Return a page of changes, newest first: `history(obj)`, `history(Order, key)`, or without an object of the log.

    `user` is a user object or an id, `request` a request's id, `column` a column that differs, `path` how the request's
    path begins; the span is `since` <= at < `until`. A person's changes come by request, the latest first. `effort`
    bounds the search, so a page may be empty: go on with `before=page.next` until that is None.
    """
    if limit < 1:
        raise exceptions.HistoryError("limit: at least 1.")
    using = using or conf.get().DATABASE
    before = spans.LATEST if before is None else before
    who = None if user is None else _user(user)
    asked: dict[str, Any] = {
        "models": None if models is None else [label(model) for model in models],
        "since": aware("since", since),
        "until": aware("until", until),
        "user": who,
        "column": column,
        "path": path,
    }
    kind: str
    parts: dict[str, Any]
    if target is not None:
        name, text = identify(target, key, using=using)
        kind, parts = "object", {"model": name, "key": text}
    elif request is not None:
        kind, parts = "request", {"request": _uuid(request)}
    elif who is not None:
        kind, parts = "user", {"user": who}
        asked["user"] = None  # the index finds nobody else's
    else:
        floor, ceiling = spans.bounds(asked["since"], asked["until"], using)
        parts = {"floor": floor, "since": asked["since"], "until": asked["until"]}
        kind, before = "log", min(before, ceiling)
    return _page(kind, asked, before=before, limit=limit, using=using, effort=effort, **parts)


def _page(
    kind: str, asked: dict[str, Any], *, before: int, limit: int, using: str, effort: Effort, **parts: Any
) -> History:
    """Look further and further back until the page is full, all was looked at, or enough time has gone."""
    began, most, entries = time.monotonic(), effort.changes, list[Entry]()
    while True:
        if kind == "user":
            parts["started"] = _started(before, asked["until"], using)
        rest = limit - len(entries)
        most = max(most, rest)
        rows = sql.run(using, query_of(kind, asked, before=before, limit=rest, most=most, **parts))
        entries += [_entry(*row) for _, fits, *row in rows if fits]
        if not rows or (len(rows) < rest and rows[-1][0] < most):
            return History(entries=tuple(entries), next=None)
        before = rows[-1][2]
        if len(entries) == limit or time.monotonic() - began > effort.seconds:
            return History(entries=tuple(entries), next=before)
        most *= 2


def query_of(kind: str, asked: dict[str, Any], *, before: int, limit: int, most: int, **parts: Any) -> psql.Composed:
    """Return the query of a page: `kind` names the index that it reads by, `asked` what its changes must fit."""
    files = {
        "object": "queries/history/object",
        "request": "queries/history/request",
        "user": "queries/history/user",
        "log": "queries/history/log",
    }
    fits = sql.compose("queries/history/fits", hiding=hiding.labels_of(asked["column"]), **asked)
    seen = sql.compose(files[kind], fits=fits, before=before, most=most, **parts)
    images = {name: hiding.shown(name, hiding.hidden(None), alias="c") for name in ("old", "new")}
    return sql.compose("queries/history/page", seen=seen, most=most, limit=limit, **images)


def label(model: type[django_models.Model] | str) -> str:
    """Return the label that the log knows a model by; a proxy's changes are its concrete model's."""
    if isinstance(model, str):
        return registry.known_as(model.lower())
    return registry.label_of(model._meta.concrete_model or model)


def identify(target: Any, key: Any = None, *, using: str | None = None) -> tuple[str, str]:
    """Return the label and the key of an object, or of a model and a key."""
    if isinstance(target, django_models.Model):
        name, value = label(type(target)), target.pk
    elif key is None or not isinstance(target, (str, type)):
        raise exceptions.HistoryError("Name an object, or a model and a key.")
    else:
        name, value = label(target), key
    publication = registry.get(name)
    if publication is None:
        return name, keys.text(value)
    try:
        return name, keys.as_logged(publication, value, using=using or conf.get().DATABASE)
    except exceptions.InvalidKey as error:
        raise exceptions.HistoryError(f"key: {error}") from error


def published(name: str) -> Publication:
    """Return the publication of a label. Raises `HistoryError` where it is not published."""
    publication = registry.get(name)
    if publication is None:
        raise exceptions.HistoryError(f"{name} is not published.")
    return publication


def _entry(*row: Any) -> Entry:
    version, op, at, model, key, old, new, request_id, request = row
    return Entry(
        version=version,
        op=ops.TRAIL[op],
        at=at,
        model=model,
        key=key,
        old=None if op == ops.ERASED_DELETE.letter else row_of(old),
        new=row_of(new),
        request_id=request_id,
        request=request,
    )


def row_of(text: str | None) -> dict[str, Any] | None:
    """Return a row from its JSON text, as `jsontext.row` does: so that a number keeps each digit."""
    return None if text is None else jsontext.row(text)


def _same(old: Any, new: Any) -> bool:
    """Say whether two values of JSON are one: 1 and true are not."""
    return type(old) is type(new) and bool(old == new)


def _user(user: Any) -> str:
    if isinstance(user, (str, int)):
        return str(user)
    who = actors.of(user)
    if who is None:
        raise exceptions.HistoryError("user: nobody's changes cannot be asked for.")
    return who.id


def _uuid(request: uuid.UUID | str) -> uuid.UUID:
    try:
        return request if isinstance(request, uuid.UUID) else uuid.UUID(request)
    except ValueError as error:
        raise exceptions.HistoryError("request: it is a UUID.") from error


def aware(field: str, moment: dt.datetime | None) -> dt.datetime | None:
    """Return a moment that says its time zone, in UTC: PostgreSQL takes no zones as large as Python's do.

    Raises `HistoryError`.
    """
    if moment is None:
        return None
    if moment.tzinfo is None:
        if settings.USE_TZ:
            raise exceptions.HistoryError(f"{field}: say the time zone too.")
        moment = timezone.make_aware(moment)  # all times of such a project are of TIME_ZONE, those of histories too
    try:
        return moment.astimezone(dt.UTC)
    except OverflowError as error:
        raise exceptions.HistoryError(f"{field}: it is of the years 1 to 9999 in UTC.") from error


def _started(before: int, until: dt.datetime | None, using: str) -> dt.datetime | str:
    """Return when the request of the page's last change started: where the next page goes on.

    A first page begins with the requests that started before the end of what is asked for, by clocks that may differ.
    """
    if before == spans.LATEST:
        return "infinity" if until is None else spans.widened(until, spans.CLOCK_SLACK)
    found = sql.run(using, sql.compose("queries/history/started_of", id=before))
    return found[0][0] if found else "-infinity"
