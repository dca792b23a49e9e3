"""Values of the log as people read them: choices and foreign keys by their names, long texts as differences."""

from __future__ import annotations

import dataclasses
import decimal
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError

from pubsubpull.capture import registry
from pubsubpull.pages import texts
from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from django.db.models import Model, QuerySet

    from pubsubpull.audit.history.results import Entry

Names = dict[tuple[str, str, str], str]
"""Names of related objects by their model, the column that refers to them, and its value."""
REASON = "reason"
"""The metadata that is shown beside the person."""
LONG_TEXT = 60
"""The length in characters from which on a text is shown by its differences."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """A column before and after."""

    name: str
    """The column's name for people."""
    old: str
    new: str
    pieces: tuple[texts.Piece, ...] = ()
    """The differences of two long texts."""


def differences(entry: Entry, names: Names, effort: texts.Effort) -> list[Difference]:
    """Return the differences of an entry. `effort` is that of the whole page."""
    if entry.is_baseline and entry.new:
        pairs = [(column, (None, value)) for column, value in sorted(entry.new.items())]
    else:
        pairs = list(entry.changed.items())
    return [difference(entry.model, column, pair, names, effort) for column, pair in pairs]


def difference(label: str, column: str, pair: tuple[Any, Any], names: Names, effort: texts.Effort) -> Difference:
    """Return one column before and after, as the pair of its values."""
    old, new = pair
    # The log is older than the model: a column may have been renamed or dropped since.
    field = _fields(label).get(column)
    title = str(field.verbose_name) if field is not None else f"{column} (no longer a column)"
    shown = [_shown(label, column, field, value, names) for value in (old, new)]
    long = isinstance(old, str) and isinstance(new, str) and max(len(old), len(new)) > LONG_TEXT
    return Difference(name=title, old=shown[0], new=shown[1], pieces=texts.pieces(old, new, effort) if long else ())


def shown(entry: Entry, names: Names, effort: texts.Effort) -> dict[str, Any]:
    """Return the shown parts of an entry by the names that the templates use."""
    pairs = metadata(entry.request)
    return {
        # As text: a template would write a number with the separators of the user's locale.
        "version": str(entry.version),
        "changes": differences(entry, names, effort),
        "reason": next((text for name, text in pairs if name == REASON), ""),
        "metadata": [(name, text) for name, text in pairs if name != REASON],
    }


def metadata(request: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Return the metadata of a change's context, by name."""
    return [(name, _plain(value)) for name, value in ((request or {}).get("metadata") or {}).items()]


def names_of(
    changed: Iterable[tuple[str, dict[str, tuple[Any, Any]]]],
    *,
    using: str,
    rows: Callable[[type[Model]], QuerySet[Any] | None],
) -> Names:
    """Return the names of the objects that changed foreign keys refer to.

    `changed` are models' labels with their columns before and after. `rows` returns the rows of a model that the user
    may see; None if the user may see none.
    """
    # Collected first: one query for each column that is referred to, however long the page is.
    wanted: dict[tuple[type[Model], Any], set[Any]] = {}
    for label, columns in changed:
        for column, pair in columns.items():
            field = _fields(label).get(column)
            if field is not None and field.remote_field:
                fitting = (_fitting(field.target_field, value) for value in pair if isinstance(value, (str, int)))
                wanted.setdefault((field.related_model, field.target_field), set()).update(fitting)
    return {
        _name_key(target, getattr(row, target.attname)): str(row)
        for (model, target), keys in wanted.items()
        if keys - {None} and (seen := rows(model)) is not None
        for row in seen.using(using).filter(**{f"{target.attname}__in": keys - {None}})
    }


def _fitting(target: Any, value: Any) -> Any:
    try:
        return target.to_python(value)
    # Swallowed: the column may have had another type when the change was written, and refers to nothing now.
    except (ValidationError, ValueError, TypeError):
        return None


def _name_key(target: Any, value: Any) -> tuple[str, str, str]:
    return registry.label_of(target.model), target.attname, str(value)


def _fields(label: str) -> dict[str, Any]:
    publication = registry.get(label)
    return {} if publication is None else {str(f.column): f for f in publication.model._meta.local_concrete_fields}


def _shown(label: str, column: str, field: Any, value: Any, names: Names) -> str:
    publication = registry.get(label)
    if value is None:
        return "—"
    # First: no other way of showing a value may show a masked one.
    if publication is not None and column in publication.masked_columns:
        return "(hidden)"
    if field is not None and field.remote_field:
        name = names.get(_name_key(field.target_field, value))
        return f"{name} ({value})" if name else str(value)
    if field is not None and field.flatchoices and isinstance(value, Hashable):
        return str(dict(field.flatchoices).get(value, value))
    return _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (str, int, decimal.Decimal)):
        return str(value)[: texts.MOST_WORDS]
    return jsontext.dumps(value)[: texts.MOST_WORDS]
