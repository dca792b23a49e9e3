"""The shapes in which changes are read: as the text of a page, by model, or one by one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pubsubpull.wire import pages
from pubsubpull.wire.items import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch(Generic[T]):
    """The changes that one query has read."""

    dropped: int
    """The id up to which the log was gone, in the snapshot of the query."""
    count: int
    last: int
    """The id of the last change, where there is any."""
    cut: bool
    """True where further changes would have been too large."""
    items: T


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape(Generic[T]):
    """A query for changes, and how its rows are read."""

    query: str
    read: Callable[[Sequence[tuple[Any, ...]]], Batch[T]]
    as_bytes: bool = True
    """True where texts are passed on as they come."""
    for_callers: bool = True
    """True where cursors come from outside. A made-up one may have all of the log looked at: the time is limited."""


def _page(rows: Sequence[tuple[Any, ...]]) -> Batch[bytes]:
    ((dropped, count, last, cut, items),) = rows
    return Batch(dropped=dropped, count=count, last=last or 0, cut=cut, items=items)


def _compact(rows: Sequence[tuple[Any, ...]]) -> Batch[bytes]:
    """Join what was read of each model: its label, its number of changes, the last id, if cut, columns and items."""
    models = [row[1:] for row in rows if row[2] is not None]
    return Batch(
        dropped=rows[0][0],
        count=sum(count for _, count, *_ in models),
        last=max((last for _, _, last, *_ in models), default=0),
        cut=any(cut for _, _, _, cut, *_ in models),
        items=pages.write_parts((label.decode(), columns, items) for label, _, _, _, columns, items in models),
    )


def _rows(rows: Sequence[tuple[Any, ...]]) -> Batch[tuple[Row, ...]]:
    changes = tuple(Row(*change) for _, *change, _ in rows if change[0] is not None)
    return Batch(
        dropped=rows[0][0],
        count=len(changes),
        last=changes[-1].version if changes else 0,
        cut=bool(rows[-1][-1]),
        items=changes,
    )


PAGE = Shape(query="queries/feed/page", read=_page)
COMPACT = Shape(query="queries/feed/compact", read=_compact)
ROWS: Shape[tuple[Row, ...]] = Shape(query="queries/feed/rows", read=_rows, as_bytes=False, for_callers=False)
