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
    """The number of changes."""
    last: int
    """The id of the last change; 0 if there is none."""
    cut: bool
    """True if the page left out changes because it would have been too large."""
    items: T
    """The changes, in the form of the shape."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape(Generic[T]):
    """A query for changes, and the function that reads its rows."""

    query: str
    """The name of the query's file."""
    read: Callable[[Sequence[tuple[Any, ...]]], Batch[T]]
    """Returns the batch of the query's rows."""
    as_bytes: bool = True
    """True if texts are passed on as the bytes that PostgreSQL sent."""
    for_callers: bool = True
    """True if the cursors come from callers. The query's time is limited, as a made-up cursor may scan all the log."""


def _page(rows: Sequence[tuple[Any, ...]]) -> Batch[bytes]:
    # One row: PostgreSQL joins the items, which is faster than to send and join them here.
    ((dropped, count, last, cut, items),) = rows
    return Batch(dropped=dropped, count=count, last=last or 0, cut=cut, items=items)


def _compact(rows: Sequence[tuple[Any, ...]]) -> Batch[bytes]:
    """Return the batch of rows that have, by model: label, number of changes, last id, whether cut, columns, items."""
    # `dropped` comes in any case: the outer join gives one row without a model where no change was read.
    models = [row[1:] for row in rows if row[2] is not None]
    return Batch(
        dropped=rows[0][0],
        count=sum(count for _, count, *_ in models),
        last=max((last for _, _, last, *_ in models), default=0),
        cut=any(cut for _, _, _, cut, *_ in models),
        items=pages.write_parts((label.decode(), columns, items) for label, _, _, _, columns, items in models),
    )


def _rows(rows: Sequence[tuple[Any, ...]]) -> Batch[tuple[Row, ...]]:
    # As above: the one row without a change carries `dropped`.
    changes = tuple(Row(*change) for _, *change, _ in rows if change[0] is not None)
    return Batch(
        dropped=rows[0][0],
        count=len(changes),
        last=changes[-1].version if changes else 0,
        cut=bool(rows[-1][-1]),
        items=changes,
    )


TEXT_PAGE = Shape(query="queries/feed/page", read=_page)
COMPACT_PAGE = Shape(query="queries/feed/compact", read=_compact)
# Delivery reads its own cursors, and needs texts: it looks into each item.
ROWS: Shape[tuple[Row, ...]] = Shape(query="queries/feed/rows", read=_rows, as_bytes=False, for_callers=False)
