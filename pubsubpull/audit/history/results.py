"""The results of a history: its entries and its pages."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from pubsubpull.wire import jsontext, ops

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from collections.abc import Iterator


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One change of a history."""

    version: int
    """The change's id in the log."""
    op: str
    """The operation. For `erase` the row before and after the change was erased on request, and is not known."""
    at: dt.datetime
    """The time of the statement that made the change."""
    model: str
    """The model's label."""
    key: str | None
    """The row's primary key as text; None for a change of the whole table."""
    old: dict[str, Any] | None
    """The row before the change, by column; None if there was none or it is not known."""
    new: dict[str, Any] | None
    """The row after the change, by column; None if there was none or it is not known."""
    request_id: uuid.UUID | None
    """The id of the request, command or job that made the change."""
    request: dict[str, Any] | None
    """The row of that request; None if the change was made outside of any."""

    @property
    def changed(self) -> dict[str, tuple[Any, Any]]:
        """The old and the new value of each column that differs, by name."""
        old, new = self.old or {}, self.new or {}
        pairs = {name: (old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys())}
        return {name: pair for name, pair in pairs.items() if not _same(*pair)}

    @property
    def is_baseline(self) -> bool:
        """True if a baseline recorded the row, which did not change."""
        return (self.request or {}).get("source") == "baseline"

    @property
    def user(self) -> str | None:
        """The name of the user behind the change; None if it is not known."""
        return (self.request or {}).get("user_name")


@dataclasses.dataclass(frozen=True, kw_only=True)
class History:
    """A page of a history, with the entries as its items."""

    entries: tuple[Entry, ...]
    """The changes, newest first. It may be empty before the end: the search for a page is bounded."""
    next: int | None
    """The `before` of the next page; None at the end."""

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Entry:
        return self.entries[index]


def entry(*row: Any) -> Entry:
    """Return the entry for a row of `queries/history/page`."""
    version, op, at, model, key, old, new, request_id, request = row
    return Entry(
        version=version,
        op=ops.TRAIL[op],
        at=at,
        model=model,
        key=key,
        # An erased delete keeps an image with the key alone, for readers of the feed. It is not the row.
        old=None if op == ops.ERASED_DELETE.letter else row_of(old),
        new=row_of(new),
        request_id=request_id,
        request=request,
    )


def row_of(text: str | None) -> dict[str, Any] | None:
    """Return a row from its JSON text, with each digit of its numbers (see `jsontext.row`); None for None."""
    return None if text is None else jsontext.row(text)


def _same(old: Any, new: Any) -> bool:
    """Return True if two JSON values are the same. Python's `==` also holds for 1 and true."""
    return type(old) is type(new) and bool(old == new)
