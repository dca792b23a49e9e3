"""The arguments of a capture trigger: the facts about its table that the capture functions need, as text."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pubsubpull.capture.registry import Publication
    from pubsubpull.capture.tables import Child, Facts

# `_array` quotes each element, so the other forms of PostgreSQL's array literals are not read.
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """The arguments of a trigger."""

    label: str
    """The label that changes are logged under."""
    keys: tuple[str, ...]
    """The columns of the primary key, in its order."""
    excluded: tuple[str, ...] = ()
    """The columns that never reach the log."""
    masked: tuple[str, ...] = ()
    """The columns that reach the log as a constant, without their values."""
    guarded: tuple[str, ...] = ()
    """The columns of type json, which may hold values that jsonb refuses."""
    columns: tuple[str, ...] | None = None
    """The columns by their numbers, empty for a dropped column. Numbers show that a column was renamed.

    None if the key has one column and no column is hidden.
    """
    shown: tuple[str, ...] | None = None
    """The columns whose values may reach the log unchanged. None if no column is hidden."""

    @classmethod
    def of(cls, publication: Publication, table: Facts) -> Arguments:
        """Return the arguments of the triggers of a published model's table."""
        plain = cls(
            label=publication.label,
            keys=tuple(publication.key_columns),
            # Triggers get no values of virtual generated columns, and would log nulls.
            excluded=_once([*publication.excluded_columns, *table.computed]),
            masked=_once(publication.masked_columns),
            guarded=table.guarded,
            # By name alone, two columns of a key that are renamed together would take each other's position.
            columns=table.columns if len(publication.key_columns) > 1 else None,
        )
        return plain.hiding(table.columns, publication.shown_columns) if publication.hides else plain

    def hiding(self, columns: tuple[str, ...], shown: Iterable[str]) -> Arguments:
        """Return these arguments for a table with `columns`, of which only `shown` may reach the log unchanged."""
        shown = tuple(sorted(set(shown) - {*self.excluded, *self.masked}))
        # A list of allowed columns, not of forbidden ones: a column that is added later must not leak.
        others = [name for name in columns if name and name not in {*shown, *self.masked}]
        return dataclasses.replace(self, excluded=_once([*self.excluded, *others]), columns=columns, shown=shown)

    def of_child(self, table: Facts, child: Child) -> Arguments:
        """Return these arguments for a child of `table`: the columns that only the child has never reach the log."""
        shown = [name for name in table.columns if name] if self.shown is None else self.shown
        return dataclasses.replace(self, guarded=child.guarded).hiding(child.columns, shown)

    @property
    def hidden(self) -> set[str]:
        """The columns that never reach the log unchanged."""
        return {*self.excluded, *self.masked}

    def texts(self) -> list[str]:
        """Return the arguments of CREATE TRIGGER: the label, then PostgreSQL array literals of names."""
        texts = [self.label, *map(_array, (self.keys, self.excluded, self.masked))]
        # The functions read arguments by number, so an empty one may be left out only at the end.
        if self.guarded or self.columns is not None:
            texts.append(_array(self.guarded))
        if self.columns is not None:
            texts.append(_array(self.columns))
        if self.shown is not None:
            texts.append(_array(self.shown))
        return texts

    @classmethod
    def read(cls, data: bytes) -> Arguments:
        """Return the arguments of an installed trigger, from `pg_trigger.tgargs`: a zero byte ends each text."""
        label, *arrays = data.decode().split("\0")[:-1]
        lists = [tuple(re.sub(r"\\(.)", r"\1", name) for name in QUOTED.findall(text)) for text in arrays]
        # `texts` leaves out empty lists at the end.
        lists += [()] * (4 - len(lists))
        return cls(
            label=label,
            keys=lists[0],
            excluded=lists[1],
            masked=lists[2],
            guarded=lists[3],
            columns=lists[4] if len(lists) > 4 else None,
            shown=lists[5] if len(lists) > 5 else None,
        )


def _once(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names without repetitions, in the order of their first occurrence."""
    return tuple(dict.fromkeys(names))


def _array(names: Iterable[str]) -> str:
    r"""Return names as a PostgreSQL array literal: [] → {}, ["a", 'b"'] → {"a","b\""}."""
    # Backslashes first: later, those before the quotes would be doubled as well.
    quoted = ('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names)
    return "{" + ",".join(quoted) + "}"
