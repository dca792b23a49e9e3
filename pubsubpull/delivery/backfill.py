"""The rows that are there when a subscription begins: sent before the changes, in pages by primary key."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

from pubsubpull.base import threads, times
from pubsubpull.capture import registry, sql
from pubsubpull.delivery import notification
from pubsubpull.pull import instances
from pubsubpull.wire import formats, items, ops
from pubsubpull.wire.items import Row

if TYPE_CHECKING:
    from pubsubpull.capture.registry import Publication
    from pubsubpull.delivery.lease import Lease
    from pubsubpull.delivery.notification import Notification
    from pubsubpull.subscriptions.backfill_position import BackfillPosition


class Read(NamedTuple):
    """A row that was read, and the item that tells of it."""

    key: str
    version: int
    item: str
    cut: bool = False


class Backfill:
    """Reads rows for a worker, in a thread of its own: a page may take long, and the log's reader goes on."""

    def __init__(self, *, using: str) -> None:
        self.using = using
        self.database = threads.Database(using, "rows")

    async def next_page(self, lease: Lease) -> Notification | None:
        """Read the next page of rows for a lease; None if no rows are left."""
        return await self.database(_page, lease, using=self.using)


def _page(lease: Lease, *, using: str) -> Notification | None:
    """Read the next page of rows for a subscription; None where there are no more.

    All rows are read after its cursor was taken: what has changed since comes again, as changes.
    """
    place = lease.checkpoint.initial
    while place is not None:
        publication = registry.get(place.models[0])
        if publication is not None and publication.label in lease.terms.models:
            return _next(lease, publication, place, using)
        place = place.rest()
    return None


def _next(lease: Lease, publication: Publication, place: BackfillPosition, using: str) -> Notification:
    """Return the next page of a model. One that has no rows, or none any more, ends with a page without any."""
    size = lease.batch_limit
    rows = _read(publication, place, limit=size + 1, using=using)
    kept = _fitting(rows[:size])
    is_last = len(kept) == len(rows) and not any(row.cut for row in rows)
    snapshot = formats.Snapshot(id=place.run, model=place.models[0], first=not place.begun, last=is_last)
    made = notification.page(
        [_row(place, read) for read in kept] or _nothing(lease, place),
        style=lease.terms.style,
        cursor=lease.checkpoint.cursor,
        text=lease.checkpoint.told,
        count=len(kept),
        snapshot=snapshot,
        said={"cursor": lease.checkpoint.told},
    )
    last = kept[-1].key if kept else None
    return dataclasses.replace(
        made,
        following=place.rest() if is_last or last is None else place.past(last, taken=True),
        beyond=None if last is None else place.past(last, taken=False),
    )


def _nothing(lease: Lease, place: BackfillPosition) -> list[Row]:
    """Return what tells that there are no rows: where each is a message of its own, an item that has no key."""
    if not lease.terms.one_by_one:
        return []
    item = items.snapshot(place.models[0], None, key=None, version=0, at=_began(place))
    return [_row(place, Read(key="", version=-1, item=item))]


def _row(place: BackfillPosition, read: Read) -> Row:
    return Row(_number(place, read), place.models[0], ops.SNAPSHOT.letter, read.item)


def _began(place: BackfillPosition) -> str:
    return str(times.text(dt.datetime.fromtimestamp(place.at, dt.UTC)))


def _read(publication: Publication, place: BackfillPosition, *, limit: int, using: str) -> list[Read]:
    rows = instances.query(publication, past=place.after, limit=limit)
    at = _began(place)
    return [
        Read(key, version, items.snapshot(publication.label, data, key=key, version=version, at=at), cut)
        for key, version, data, cut in sql.run(using, sql.compose("queries/delivery/backfill", rows=rows))
    ]


def _fitting(rows: list[Read]) -> list[Read]:
    """Return as many of the first rows as a notification may hold; one may be larger by itself."""
    size = 0
    for place, row in enumerate(rows):
        size += len(row.item)
        if place and size > notification.SIZE:
            return rows[:place]
    return rows


def _number(place: BackfillPosition, row: Read) -> int:
    """Return a number for a row in its present state, below 0 so that it is no change's.

    It takes the place of a change's version where one is told from another: many rows may be of one version, or of
    none. The same row has another one when all begins anew, since its receiver is to take it again.
    """
    what = [place.run, place.models[0], row.key, row.version]
    return ~(int.from_bytes(hashlib.sha256(json.dumps(what).encode()).digest()[:8]) >> 1)
