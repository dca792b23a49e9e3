"""Values of the log as people read them: choices and foreign keys by their names, long texts as differences."""

from __future__ import annotations

import dataclasses
import decimal
import difflib
import json
import re
from typing import TYPE_CHECKING, Any

from pubsubpull.capture import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from django.db.models import Model

    from pubsubpull.audit.history import Entry

LONG = 60
"""Characters from which on a text is shown as what differs in it."""
MOST = 5000
"""Characters of a text that are compared; more is cut, for a comparison takes its square."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of a text: `kind` is `same`, `gone` or `new`."""

    kind: str
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """A column before and after; `pieces` where these are long texts."""

    name: str
    old: str
    new: str
    pieces: tuple[Piece, ...] = ()


def differences(entry: Entry, names: dict[tuple[str, str], str]) -> list[Difference]:
    """Return what an entry changed; `names` has those of the related objects, by table's label and key."""
    if entry.is_baseline and entry.new:
        return [difference(entry.model, column, None, value, names) for column, value in sorted(entry.new.items())]
    return [difference(entry.model, column, *pair, names) for column, pair in entry.changed.items()]


def difference(label: str, column: str, old: Any, new: Any, names: dict[tuple[str, str], str]) -> Difference:
    """Return one column before and after."""
    field = _fields(label).get(column)
    title = str(field.verbose_name) if field is not None else column
    shown = [_shown(label, column, field, value, names) for value in (old, new)]
    long = isinstance(old, str) and isinstance(new, str) and max(len(old), len(new)) > LONG
    return Difference(name=title, old=shown[0], new=shown[1], pieces=pieces(old, new) if long else ())


def pieces(old: str, new: str) -> tuple[Piece, ...]:
    """Return a text's words as those that stayed, went and came."""
    before, after = (re.split(r"(\s+)", text[:MOST]) for text in (old, new))
    made = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            made.append(Piece(kind="same", text="".join(before[a:b])))
            continue
        changed = (("gone", "".join(before[a:b])), ("new", "".join(after[c:d])))
        made += [Piece(kind=name, text=text) for name, text in changed if text]
    return tuple(made)


def related(
    entries: Iterable[Entry], *, using: str, may_see: Callable[[type[Model]], bool]
) -> dict[tuple[str, str], str]:
    """Return the names of all objects that the entries' foreign keys name: one query for each model of them."""
    wanted: dict[type[Model], set[Any]] = {}
    for entry in entries:
        for column, pair in entry.changed.items():
            field = _fields(entry.model).get(column)
            if field is not None and field.remote_field and may_see(field.related_model):
                wanted.setdefault(field.related_model, set()).update(v for v in pair if isinstance(v, (str, int)))
    return {
        (model._meta.label_lower, str(row.pk)): str(row)
        for model, keys in wanted.items()
        for row in model._base_manager.using(using).filter(pk__in=keys)
    }


def _fields(label: str) -> dict[str, Any]:
    publication = registry.get(label)
    return {} if publication is None else {str(f.column): f for f in publication.model._meta.local_concrete_fields}


def _shown(label: str, column: str, field: Any, value: Any, names: dict[tuple[str, str], str]) -> str:
    publication = registry.get(label)
    if value is None:
        return "—"
    if publication is not None and column in publication.masked_columns:
        return "(hidden)"
    if field is not None and field.remote_field:
        name = names.get((field.related_model._meta.label_lower, str(value)))
        return f"{name} ({value})" if name else str(value)
    if field is not None and field.flatchoices:
        return str(dict(field.flatchoices).get(value, value))
    return _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (str, int, decimal.Decimal)):
        return str(value)[:MOST]
    return json.dumps(value, ensure_ascii=False, default=str)
