"""The past that django-auditlog wrote down: of each change the columns that differ, as texts."""

from __future__ import annotations

import importlib
import itertools
import json
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.contrib import auth
from django.db import models
from psycopg import sql as psql

from pubsubpull.audit.imports import rows
from pubsubpull.audit.imports.rebuild import Step, rebuild
from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pubsubpull.capture.registry import Publication

PACKAGE = "auditlog"
AT_ONCE = 1000
"""How many objects are rebuilt at once."""
OPS = {0: "I", 1: "U", 2: "D"}


class Known(str):
    """A value that is known from a row, as JSON text; other values are the texts of an entry."""

    __slots__ = ()


def has(publication: Publication) -> bool:
    """Say whether there are entries of a published model's objects."""
    return bool(publication.key_columns[1:] == [] and _entries(publication).exists())


class Source:
    """The entries of a published model's objects, made whole rows by `rebuild`."""

    def __init__(self, publication: Publication, *, using: str) -> None:
        self.publication = publication
        self.using = using
        self.fields, missing = _fields(publication)
        self.notes = rows.notes(
            missing,
            [
                "Values that no longer fit their column, and those of many-to-many fields, are left out.",
                "What changed without an entry is taken to have been so from the entry before on.",
            ],
        )
        self._place = itertools.count(1)

    def batches(self) -> Iterator[psql.Composable]:
        """Give queries of some objects' changes each."""
        columns = [field.column for field in self.fields.values()]
        objects = itertools.groupby(self._read(), key=lambda entry: str(entry["object_pk"]))
        while some := {key: list(entries) for key, entries in itertools.islice(objects, AT_ONCE)}:
            ends = self._ends(list(some), columns)
            made = [one for key, entries in some.items() for one in self._changes(entries, ends.get(key), columns)]
            yield sql.compose(
                "queries/audit/imports/auditlog",
                entries=f"[{','.join(made)}]",
                table=rows.table(self.publication.model).as_string(),
            )

    def _read(self) -> Iterator[dict[str, Any]]:
        """Give the entries, by object and time."""
        found = _entries(self.publication).using(self.using).order_by("object_pk", "timestamp", "pk")
        names = ("pk", "timestamp", "object_pk", "action", "changes", "changes_text", "actor_id", "cid", "remote_addr")
        more = [n for n in ("actor_email", "additional_data") if n in {f.name for f in found.model._meta.fields}]
        name = f"actor__{auth.get_user_model().USERNAME_FIELD}"
        yield from found.values(*names, *more, actor_name=models.F(name)).iterator(chunk_size=5000)

    def _ends(self, keys: list[str], columns: list[str]) -> dict[str, dict[str, Any]]:
        """Return of each object the row that its entries end with, where that is known."""
        query = sql.compose(
            "queries/audit/imports/present",
            label=self.publication.label,
            table=rows.table(self.publication.model),
            pk=psql.Identifier(self.publication.key_columns[0]),
            keys=keys,
            columns=columns,
        )
        found: dict[str, dict[str, Any]] = {}
        for key, column, value in sql.run(self.using, query):
            found.setdefault(key, {})[column] = Known(value)
        return found

    def _changes(self, entries: list[dict[str, Any]], end: Any, columns: list[str]) -> Iterator[str]:
        """Give an object's changes as JSON texts."""
        (pk,) = self.publication.key_columns
        steps = [self._step(entry) for entry in entries]
        for entry, step, (old, new) in zip(entries, steps, rebuild(steps, end, columns), strict=True):
            key = {pk: entry["object_pk"]}
            parts = {
                "place": str(next(self._place)),
                "at": json.dumps(entry["timestamp"].isoformat()),
                "op": json.dumps(step.op),
                **_parts("old", None if old is None else {**old, **key}),
                **_parts("new", None if new is None else {**new, **key}),
                "request": json.dumps(_request(entry)),
            }
            yield _object(parts)

    def _step(self, entry: dict[str, Any]) -> Step:
        told = entry["changes"] or (json.loads(entry["changes_text"]) if entry["changes_text"] else {})
        pairs = {
            self.fields[name].column: [_text(self.fields[name], value) for value in pair]
            for name, pair in told.items()
            if name in self.fields and isinstance(pair, (list, tuple)) and len(pair) == 2
        }
        old = {column: pair[0] for column, pair in pairs.items()}
        return Step(op=OPS[entry["action"]], old=old, new={column: pair[1] for column, pair in pairs.items()})


def _entries(publication: Publication) -> models.QuerySet[Any]:
    """Return the entries of a model's objects; entries of who looked at one are not among them."""
    from django.contrib.contenttypes.models import ContentType

    model: Any = apps.get_model(getattr(settings, "AUDITLOG_LOGENTRY_MODEL", "auditlog.LogEntry"))
    found: models.QuerySet[Any] = model._default_manager.filter(
        content_type=ContentType.objects.get_for_model(publication.model), action__in=OPS
    )
    return found


def _fields(publication: Publication) -> tuple[dict[str, Any], list[str]]:
    """Return the fields whose values the entries have, by name, and the columns that they do not have."""
    registry: Any = importlib.import_module("auditlog.registry").auditlog
    told: dict[str, Any] = {}
    if registry.contains(publication.model):
        told = registry.get_model_fields(publication.model)
    included, left_out = told.get("include_fields"), {*told.get("exclude_fields", ()), *told.get("mask_fields", ())}
    strings = getattr(settings, "AUDITLOG_USE_FK_STRING_REPRESENTATION", False)
    found, missing = {}, []
    for field in rows.fields(publication):
        known = not (isinstance(field, models.BinaryField) or (strings and field.is_relation))
        if known and field.name not in left_out and (not included or field.name in included):
            found[field.name] = field
        elif not field.primary_key:
            missing.append(field.column)
    return found, missing


def _text(field: Any, value: Any) -> str | None:
    """Return a value as text that PostgreSQL reads; a null is written down as `None`."""
    if value is None or (value == "None" and field.null):
        return None
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return json.dumps(value, ensure_ascii=False)


def _request(entry: dict[str, Any]) -> dict[str, Any]:
    """Return who made a change; all of one correlation id are of one request."""
    actor, email = entry["actor_id"], entry.get("actor_email")
    known = {
        "correlation_id": entry["cid"] or None,
        "ip": entry["remote_addr"],
        "user_name": entry["actor_name"] or email,
    }
    metadata = {"entry": entry["pk"], "additional_data": entry.get("additional_data")}
    of_request = f"{entry['cid']} {actor}" if entry["cid"] else f"entry {entry['pk']}"
    return {
        "id": f"auditlog {of_request}",
        "source": "auditlog",
        **{name: value for name, value in known.items() if value},
        **({} if actor is None else {"user_id": str(actor)}),
        "metadata": {name: str(value) if name == "entry" else value for name, value in metadata.items() if value},
    }


def _parts(name: str, row: dict[str, Any] | None) -> dict[str, str]:
    """Return a row as the JSON texts of what entries tell of it and of what is known."""
    if row is None:
        return {}
    texts = {column: json.dumps(value) for column, value in row.items() if not isinstance(value, Known)}
    known = {column: value for column, value in row.items() if isinstance(value, Known)}
    return {name: _object(texts), f"{name}_known": _object(known)}


def _object(parts: Mapping[str, str]) -> str:
    return f"{{{','.join(f'{json.dumps(name)}:{text}' for name, text in parts.items())}}}"
