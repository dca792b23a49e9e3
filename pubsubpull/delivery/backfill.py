"""The backfill: the rows that exist when a subscription begins, sent before the changes, in pages by primary key."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

from django.db import DatabaseError

from pubsubpull.base import threads, times
from pubsubpull.base.database_errors import is_away
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
    """A row of the backfill."""

    key: str
    """The row's key."""
    version: int
    """The version of the row's last change."""
    item: str
    """The item that a receiver is sent for the row."""
    cut: bool = False
    """True if the read ended after this row, because the page was large enough."""


class Backfill:
    """Reads rows for a worker, with a thread and a connection of its own."""

    def __init__(self, *, using: str) -> None:
        self.using = using
        # A page of rows may take long; meanwhile the log's reader and the checkpoints need their own threads.
        self.database = threads.Database(using, "rows")

    async def next_page(self, lease: Lease) -> Notification | None:
        """Read the next page of rows for a lease; None if no rows are left."""
        return await self.database(_page, lease, using=self.using)


def _page(lease: Lease, *, using: str) -> Notification | None:
    """Read the next page of rows for a subscription; return None if no rows are left.

    All rows are read after the subscription's cursor was taken. A row that changes later comes again, as a change.
    """
    position = lease.checkpoint.backfill
    while position is not None:
        publication = registry.get(position.models[0])
        if publication is not None and publication.label in lease.terms.models:
            return _next(lease, publication, position, using)
        # A model that is no longer published or granted is passed over: the models after it still follow.
        position = position.rest()
    return None


def _next(lease: Lease, publication: Publication, position: BackfillPosition, using: str) -> Notification:
    """Return the next page of a model's rows. After the last row, return an empty page that ends the model."""
    size = lease.batch_limit
    # One row more than is sent tells whether this page is the last.
    rows = _read(publication, position, limit=size + 1, using=using)
    kept = _fitting(rows[:size])
    is_last = len(kept) == len(rows) and not any(row.cut for row in rows)
    snapshot = formats.Snapshot(id=position.run, model=position.models[0], first=not position.begun, last=is_last)
    page = notification.page(
        [_row(position, read) for read in kept] or _no_rows(lease, position),
        style=lease.terms.style,
        cursor=lease.checkpoint.cursor,
        text=lease.checkpoint.last_sent_cursor,
        count=len(kept),
        snapshot=snapshot,
        said={"cursor": lease.checkpoint.last_sent_cursor},
    )
    last = kept[-1].key if kept else None
    return dataclasses.replace(
        page,
        following=position.rest() if is_last or last is None else position.past(last, taken=True),
        beyond=None if last is None else position.past(last, taken=False),
    )


def _no_rows(lease: Lease, position: BackfillPosition) -> list[Row]:
    """Return the items of an empty page: one without a key if each item is a message of its own, else none."""
    if not lease.terms.one_by_one:
        return []
    item = items.snapshot(position.models[0], None, key=None, version=0, at=_began(position))
    return [_row(position, Read(key="", version=-1, item=item))]


def _row(position: BackfillPosition, read: Read) -> Row:
    return Row(_number(position, read), position.models[0], ops.SNAPSHOT.letter, read.item)


def _began(position: BackfillPosition) -> str:
    return str(times.text(dt.datetime.fromtimestamp(position.at, dt.UTC)))


def _read(publication: Publication, position: BackfillPosition, *, limit: int, using: str) -> list[Read]:
    query = instances.query(publication, past=position.after, limit=limit)
    at = _began(position)
    try:
        rows = sql.run(using, sql.compose("queries/delivery/backfill", rows=query))
    except DatabaseError as error:
        if not is_away(error):
            # The same rows: this names the one that cannot be read.
            instances.page(publication, after=position.after, limit=limit, using=using)
        raise
    return [
        Read(key, version, items.snapshot(publication.label, data, key=key, version=version, at=at), cut)
        for key, version, data, cut in rows
    ]


def _fitting(rows: list[Read]) -> list[Read]:
    """Return the first rows that fit into one notification, always at least one."""
    size = 0
    for index, row in enumerate(rows):
        size += len(row.item)
        if index and size > notification.NOTIFICATION_SIZE:
            return rows[:index]
    return rows


def _number(position: BackfillPosition, row: Read) -> int:
    """Return a negative number that identifies a row in its present state within one run.

    It stands in for a change's version, since many rows may share a version or have none. Another run gives the same
    row another number, so that the receiver takes the row again.
    """
    identity = [position.run, position.models[0], row.key, row.version]
    return ~(int.from_bytes(hashlib.sha256(json.dumps(identity).encode()).digest()[:8]) >> 1)
