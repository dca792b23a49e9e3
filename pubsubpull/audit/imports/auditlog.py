"""The past that django-auditlog wrote down: of each change the columns that differ, as texts."""

from __future__ import annotations

import importlib
import itertools
import json
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.contrib import auth
from django.db import connections, models
from psycopg import sql as psql

from pubsubpull.audit.imports import keys, rows
from pubsubpull.audit.imports.rebuild import Step, rebuild
from pubsubpull.capture import sql
from pubsubpull.wire import ops

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pubsubpull.capture.registry import Publication

PACKAGE = "auditlog"
AT_ONCE = 1000
"""How many objects are rebuilt at once."""
OPS = {number: op.letter for number, op in enumerate((ops.INSERT, ops.UPDATE, ops.DELETE))}
Key = dict[str, str]
"""The texts of an object's key columns."""
UNKNOWN = ""
"""Stands for a value that an entry tells of in words that are none. Other values are JSON texts here."""


def has(publication: Publication) -> bool:
    """Say whether there are entries of a published model's objects."""
    return _entries(publication).exists()


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
        self._unread = 0
        self._place = itertools.count(1)
        self._values: dict[tuple[str, str | None], str] = {}

    def batches(self) -> Iterator[psql.Composable]:
        """Give queries of some objects' changes each."""
        columns = [field.column for field in self.fields.values()]
        objects = itertools.groupby(self._read(), key=lambda entry: str(entry["object_pk"]))
        while some := [(key, list(entries)) for key, entries in itertools.islice(objects, AT_ONCE)]:
            read = [(keys.read(key, self.publication.key_columns), entries) for key, entries in some]
            whole = [(key, entries) for key, entries in read if key is not None]
            self._unread += len(some) - len(whole)
            self._type(whole)
            ends = self._ends([key for key, _ in whole], columns)
            made = [one for key, told in whole for one in self._changes(key, told, ends.get(self._text(key)), columns)]
            yield sql.compose(
                "queries/audit/imports/auditlog",
                entries=f"[{','.join(made)}]",
            )
        if self._unread:
            self.notes.append(f"The keys of {self._unread:,} objects cannot be read: these are left out.")

    def _read(self) -> Iterator[dict[str, Any]]:
        """Give the entries, by object and time."""
        found = _entries(self.publication).using(self.using).order_by("object_pk", "timestamp", "pk")
        names = ("pk", "timestamp", "object_pk", "action", "changes", "changes_text", "actor_id", "cid", "remote_addr")
        more = [n for n in ("actor_email", "additional_data") if n in {f.name for f in found.model._meta.fields}]
        name = f"actor__{auth.get_user_model().USERNAME_FIELD}"
        yield from found.values(*names, *more, actor_name=models.F(name)).iterator(chunk_size=5000)

    def _ends(self, some: list[Key], columns: list[str]) -> dict[str, dict[str, Any]]:
        """Return of each object the row that its entries end with, where that is known, by the log's key."""
        known = [key for key in some if all(self._values[pair] != UNKNOWN for pair in key.items())]
        meta: Any = self.publication.model._meta
        fields = list(getattr(meta, "pk_fields", None) or [meta.pk])
        types = [psql.SQL(field.rel_db_type(connections[self.using])) for field in fields]
        names = self.publication.key_columns
        ours = [psql.Identifier(f"part {number}") for number, _ in enumerate(names)]
        arrays = [psql.Literal([key[name] for key in known]) for name in names]
        query = sql.compose(
            "queries/audit/imports/present",
            label=self.publication.label,
            table=rows.table(self.publication.model),
            keys=[self._text(key) for key in known],
            parts=_each("{}::text[]::{}[]", zip(arrays, types, strict=True)),
            names=_each("{}", ([one] for one in ours)),
            match=_each("t.{} = k.{}", zip(map(psql.Identifier, names), ours, strict=True), " AND "),
            columns=columns,
        )
        found: dict[str, dict[str, Any]] = {}
        for key, column, value in sql.run(self.using, query):
            found.setdefault(key, {})[column] = value
        return found

    def _text(self, key: Key) -> str:
        """Return a key as the log has it."""
        if len(key) == 1:
            return next(iter(key.values()))
        return f"[{', '.join(self._values[pair] for pair in key.items())}]"

    def _changes(self, key: Key, entries: list[dict[str, Any]], end: Any, columns: list[str]) -> Iterator[str]:
        """Give an object's changes as JSON texts."""
        typed = {pair[0]: self._values[pair] for pair in key.items()}
        steps = [self._step(typed, entry) for entry in entries]
        for entry, step, (old, new) in zip(entries, steps, rebuild(steps, end, columns, null="null"), strict=True):
            parts = {
                "place": str(next(self._place)),
                "at": json.dumps(entry["timestamp"].isoformat()),
                "op": json.dumps(step.op),
                **{name: _object(row) for name, row in (("old", old), ("new", new)) if row is not None},
                "request": json.dumps(_request(entry)),
            }
            yield _object(parts)

    def _step(self, key: Key, entry: dict[str, Any]) -> Step:
        """Return what an entry tells of, its object's key too."""
        told = [(name, *[self._values[name, text] for text in pair]) for name, *pair in self._told(entry)]
        old, new = {name: before for name, before, _ in told}, {name: after for name, _, after in told}
        return Step(op=OPS[entry["action"]], old=old | key, new=new | key)

    def _told(self, entry: dict[str, Any]) -> Iterator[tuple[str, str | None, str | None]]:
        """Give each column that an entry tells of with the texts of its old and its new value."""
        told = entry["changes"] or (json.loads(entry["changes_text"]) if entry["changes_text"] else {})
        for name, pair in told.items():
            field = self.fields.get(name)
            if field and isinstance(pair, (list, tuple)) and len(pair) == 2:
                yield field.column, _text(field, pair[0]), _text(field, pair[1])

    def _type(self, some: Iterable[tuple[Key, list[dict[str, Any]]]]) -> None:
        """Have PostgreSQL read the texts of some objects' keys and entries."""
        pairs: set[tuple[str, str | None]] = set()
        for key, entries in some:
            pairs.update(key.items())
            pairs.update((name, text) for entry in entries for name, *texts in self._told(entry) for text in texts)
        texts = [pair for pair in pairs if pair[1] is not None]
        query = sql.compose(
            "queries/audit/imports/values",
            table=rows.table(self.publication.model).as_string(),
            names=[name for name, _ in texts],
            values=[text for _, text in texts],
        )
        self._values = dict.fromkeys(pairs, "null")
        self._values.update({(name, text): value or UNKNOWN for name, text, value in sql.run(self.using, query)})


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


def _each(form: str, values: Iterable[Iterable[psql.Composable]], between: str = ", ") -> psql.Composed:
    return psql.SQL(between).join(psql.SQL(form).format(*given) for given in values)


def _object(parts: Mapping[str, str]) -> str:
    known = (f"{json.dumps(name)}:{text}" for name, text in parts.items() if text != UNKNOWN)
    return f"{{{','.join(known)}}}"
