"""The past from django-auditlog: the columns that each change altered, with their values as texts."""

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

OBJECTS_AT_ONCE = 1000
"""Objects that are rebuilt at a time."""
ENTRY_OPS = {number: op.letter for number, op in enumerate((ops.INSERT, ops.UPDATE, ops.DELETE))}
"""The letters of operations by the numbers of django-auditlog's actions."""
Key = dict[str, str]
"""The texts of an object's key columns, by column."""
UNFIT_TEXT = ""
"""The mark for a text that does not fit its column. All other values in this module are JSON texts."""


def has(publication: Publication) -> bool:
    """Return True if django-auditlog has entries for a published model."""
    return _entries(publication).exists()


class Source:
    """The entries for a published model's objects. `rebuild` makes whole rows of them."""

    def __init__(self, publication: Publication, *, using: str) -> None:
        self.publication = publication
        self.using = using
        self.fields, missing = _fields(publication)
        self.notes = rows.notes(
            missing,
            [
                "Values that no longer fit their column, and those of many-to-many fields, are left out.",
                "A change without an entry appears in the next entry's rows, as if made by the entry before.",
            ],
        )
        self._unreadable = 0
        self._numbers = itertools.count(1)
        self._values: dict[tuple[str, str | None], str] = {}

    def batches(self) -> Iterator[psql.Composable]:
        """Yield queries that return the changes of some objects each."""
        columns = [field.column for field in self.fields.values()]
        # The entries of an object come together, in order of time, since `_read` orders them by object first.
        objects = itertools.groupby(self._read(), key=lambda entry: str(entry["object_pk"]))
        while some := [(key, list(entries)) for key, entries in itertools.islice(objects, OBJECTS_AT_ONCE)]:
            read = [(keys.read(key, self.publication.key_columns), entries) for key, entries in some]
            readable = [(key, entries) for key, entries in read if key is not None]
            self._unreadable += len(some) - len(readable)
            # First: the steps that follow look up the values that it reads.
            self._read_values(readable)
            ends = self._ends([key for key, _ in readable], columns)
            changes = [
                change
                for key, entries in readable
                for change in self._changes(key, entries, ends.get(self._text(key)), columns)
            ]
            yield sql.compose("queries/audit/imports/auditlog", entries=f"[{','.join(changes)}]")
        if self._unreadable:
            self.notes.append(f"{self._unreadable:,} objects are left out: their keys cannot be read.")

    def _read(self) -> Iterator[dict[str, Any]]:
        """Yield the entries in the order of their objects and times."""
        # The id comes last: entries of one moment keep the order in which they were written.
        entries = _entries(self.publication).using(self.using).order_by("object_pk", "timestamp", "pk")
        names = ("pk", "timestamp", "object_pk", "action", "changes", "changes_text", "actor_id", "cid", "remote_addr")
        # Only some versions of django-auditlog have these fields.
        more = [n for n in ("actor_email", "additional_data") if n in {f.name for f in entries.model._meta.fields}]
        name = f"actor__{auth.get_user_model().USERNAME_FIELD}"
        # In chunks: a past may be larger than the memory.
        yield from entries.values(*names, *more, actor_name=models.F(name)).iterator(chunk_size=5000)

    def _ends(self, some: list[Key], columns: list[str]) -> dict[str, dict[str, Any]]:
        """Return the row after the last entry of each object, as far as the log or the table has it, by key."""
        # A text that does not fit its column would fail the cast of all keys.
        known = [key for key in some if all(self._values[pair] != UNFIT_TEXT for pair in key.items())]
        meta: Any = self.publication.model._meta
        fields = list(getattr(meta, "pk_fields", None) or [meta.pk])
        # The type of a reference: the type of an automatic key may be serial, which no value can be cast to.
        types = [psql.SQL(field.rel_db_type(connections[self.using])) for field in fields]
        names = self.publication.key_columns
        # Other names than the columns': a column called key would clash with the query's own.
        ours = [psql.Identifier(f"part {number}") for number, _ in enumerate(names)]
        arrays = [psql.Literal([key[name] for key in known]) for name in names]
        query = sql.compose(
            "queries/audit/imports/present",
            label=self.publication.label,
            table=rows.table(self.publication.model),
            keys=[self._text(key) for key in known],
            parts=_each("{}::text[]::{}[]", zip(arrays, types, strict=True)),
            names=_each("{}", ([name] for name in ours)),
            match=_each("t.{} = k.{}", zip(map(psql.Identifier, names), ours, strict=True), " AND "),
            columns=columns,
        )
        ends: dict[str, dict[str, Any]] = {}
        for key, column, value in sql.run(self.using, query):
            ends.setdefault(key, {})[column] = value
        return ends

    def _text(self, key: Key) -> str:
        """Return a key as the log writes it."""
        if len(key) == 1:
            return next(iter(key.values()))
        return f"[{', '.join(self._values[pair] for pair in key.items())}]"

    def _changes(self, key: Key, entries: list[dict[str, Any]], end: Any, columns: list[str]) -> Iterator[str]:
        """Yield the changes of an object as JSON texts."""
        typed = {pair[0]: self._values[pair] for pair in key.items()}
        steps = [self._step(typed, entry) for entry in entries]
        for entry, step, (old, new) in zip(entries, steps, rebuild(steps, end, columns, null="null"), strict=True):
            parts = {
                "place": str(next(self._numbers)),
                "at": json.dumps(entry["timestamp"].isoformat()),
                "op": json.dumps(step.op),
                **{name: _object(row) for name, row in (("old", old), ("new", new)) if row is not None},
                "request": json.dumps(_request(entry)),
            }
            yield _object(parts)

    def _step(self, key: Key, entry: dict[str, Any]) -> Step:
        """Return the step of an entry: its columns, with those of its object's key."""
        changed = [(name, *[self._values[name, text] for text in pair]) for name, *pair in self._changed(entry)]
        old, new = {name: before for name, before, _ in changed}, {name: after for name, _, after in changed}
        return Step(op=ENTRY_OPS[entry["action"]], old=old | key, new=new | key)

    def _changed(self, entry: dict[str, Any]) -> Iterator[tuple[str, str | None, str | None]]:
        """Yield each column that an entry changes, with the texts of its old and new value."""
        # Versions of django-auditlog before 3 stored the changes as text.
        pairs = entry["changes"] or (json.loads(entry["changes_text"]) if entry["changes_text"] else {})
        for name, pair in pairs.items():
            # Pairs only: for many-to-many fields django-auditlog has a dictionary.
            field = self.fields.get(name)
            if field and isinstance(pair, (list, tuple)) and len(pair) == 2:
                yield field.column, _text(field, pair[0]), _text(field, pair[1])

    def _read_values(self, some: Iterable[tuple[Key, list[dict[str, Any]]]]) -> None:
        """Have PostgreSQL convert the texts of some objects' keys and entries to JSON, by their columns' types."""
        pairs: set[tuple[str, str | None]] = set()
        for key, entries in some:
            pairs.update(key.items())
            pairs.update((name, text) for entry in entries for name, *texts in self._changed(entry) for text in texts)
        texts = [pair for pair in pairs if pair[1] is not None]
        query = sql.compose(
            "queries/audit/imports/values",
            table=rows.table(self.publication.model).as_string(),
            names=[name for name, _ in texts],
            values=[text for _, text in texts],
        )
        # Replaced for each batch, so that memory does not grow with the past.
        self._values = dict.fromkeys(pairs, "null")
        self._values.update({(name, text): value or UNFIT_TEXT for name, text, value in sql.run(self.using, query)})


def _entries(publication: Publication) -> models.QuerySet[Any]:
    """Return the entries for a model's objects, without those for read access."""
    # Late: `packages` imports this module before it checks that the app, which needs contenttypes, is installed.
    from django.contrib.contenttypes.models import ContentType

    model: Any = apps.get_model(getattr(settings, "AUDITLOG_LOGENTRY_MODEL", "auditlog.LogEntry"))
    entries: models.QuerySet[Any] = model._default_manager.filter(
        content_type=ContentType.objects.get_for_model(publication.model), action__in=ENTRY_OPS
    )
    return entries


def _fields(publication: Publication) -> tuple[dict[str, Any], list[str]]:
    """Return the fields that entries have values of, by name, and the columns that entries do not have."""
    registry: Any = importlib.import_module("auditlog.registry").auditlog
    options: dict[str, Any] = {}
    if registry.contains(publication.model):
        options = registry.get_model_fields(publication.model)
    included = options.get("include_fields")
    left_out = {*options.get("exclude_fields", ()), *options.get("mask_fields", ())}
    strings = getattr(settings, "AUDITLOG_USE_FK_STRING_REPRESENTATION", False)
    known_fields, missing = {}, []
    for field in rows.fields(publication):
        known = not (isinstance(field, models.BinaryField) or (strings and field.is_relation))
        if known and field.name not in left_out and (not included or field.name in included):
            known_fields[field.name] = field
        elif not field.primary_key:
            missing.append(field.column)
    return known_fields, missing


def _text(field: Any, value: Any) -> str | None:
    """Return a value as text that PostgreSQL reads; None for a null."""
    # django-auditlog stores null as the text "None". In a column without nulls that is a text like any other.
    if value is None or (value == "None" and field.null):
        return None
    if isinstance(value, str):
        # PostgreSQL stores no NUL, and one such text must not fail the whole batch.
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return json.dumps(value, ensure_ascii=False)


def _request(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the request of an entry. Entries with the same correlation id and user have the same request."""
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
    return psql.SQL(between).join(psql.SQL(form).format(*parts) for parts in values)


def _object(parts: Mapping[str, str]) -> str:
    """Return a JSON object of JSON texts, without unreadable values."""
    # The texts are joined as they are: Python's parser would round numbers of many digits.
    known = (f"{json.dumps(name)}:{text}" for name, text in parts.items() if text != UNFIT_TEXT)
    return f"{{{','.join(known)}}}"
