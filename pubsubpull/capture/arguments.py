"""The arguments of a capture trigger: what it is told of its table, as text."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pubsubpull.capture.registry import Publication
    from pubsubpull.capture.tables import Child, Facts

QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """What a trigger knows. The last two it has only where something of the table is hidden."""

    label: str
    keys: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    guarded: tuple[str, ...] = ()
    columns: tuple[str, ...] | None = None
    """The table's columns by their numbers, empty for one that was dropped: a renamed one is known by its number."""
    shown: tuple[str, ...] = ()
    """The only columns that may reach the log as they are."""

    @classmethod
    def of(cls, publication: Publication, table: Facts) -> Arguments:
        """Return what the triggers of a published model are told."""
        plain = cls(
            label=publication.label,
            keys=tuple(publication.key_columns),
            excluded=_once([*publication.excluded_columns, *table.computed]),
            masked=_once(publication.masked_columns),
            guarded=table.guarded,
        )
        return plain.hiding(table.columns, publication.shown_columns) if publication.hides else plain

    def hiding(self, columns: tuple[str, ...], shown: Iterable[str]) -> Arguments:
        """Return these for a table with such columns, of which no more than `shown` may reach the log."""
        shown = tuple(sorted(set(shown) - {*self.excluded, *self.masked}))
        others = [name for name in columns if name and name not in {*shown, *self.masked}]
        return dataclasses.replace(self, excluded=_once([*self.excluded, *others]), columns=columns, shown=shown)

    def of_child(self, table: Facts, child: Child) -> Arguments:
        """Return these for a table that inherits: of its own columns none reaches the log."""
        shown = [name for name in table.columns if name] if self.columns is None else self.shown
        return dataclasses.replace(self, guarded=child.guarded).hiding(child.columns, shown)

    @property
    def hidden(self) -> set[str]:
        """The columns that do not reach the log as they are."""
        return {*self.excluded, *self.masked}

    def texts(self) -> list[str]:
        """Return the arguments as the trigger has them."""
        found = [self.label, *map(_array, (self.keys, self.excluded, self.masked))]
        if self.guarded or self.columns is not None:
            found.append(_array(self.guarded))
        if self.columns is not None:
            found += [_array(self.columns), _array(self.shown)]
        return found

    @classmethod
    def read(cls, data: bytes) -> Arguments:
        """Read them from a trigger: each text has a zero byte after it."""
        label, *arrays = data.decode().split("\0")[:-1]
        lists = [tuple(re.sub(r"\\(.)", r"\1", name) for name in QUOTED.findall(text)) for text in arrays]
        lists += [()] * (4 - len(lists))
        columns, shown = lists[4:6] or (None, ())
        return cls(
            label=label,
            keys=lists[0],
            excluded=lists[1],
            masked=lists[2],
            guarded=lists[3],
            columns=columns,
            shown=shown or (),
        )


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _array(names: Iterable[str]) -> str:
    r"""Return names as a PostgreSQL array literal: [] → {}, ["a", 'b"'] → {"a","b\""}."""
    quoted = ('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names)
    return "{" + ",".join(quoted) + "}"
