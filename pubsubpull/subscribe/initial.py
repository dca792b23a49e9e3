"""The rows that are there when a subscription begins: sent before the changes, in pages by primary key."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
from typing import TYPE_CHECKING, NamedTuple

from pubsubpull.capture import registry, sql
from pubsubpull.capture.feed import Row
from pubsubpull.pull import instances
from pubsubpull.subscribe import notification

if TYPE_CHECKING:
    from collections.abc import Collection

    from psycopg import sql as psql

    from pubsubpull.capture.registry import Publication
    from pubsubpull.subscribe.held import Held
    from pubsubpull.subscribe.notification import Notification

OP = "S"
"""What stands for `snapshot` where the log has the letter of a change's operation."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """How far the rows have come: the models that are still to be sent, and the key of the first one's last row.

    `run` tells a time that all rows are sent from another.
    """

    models: tuple[str, ...]
    after: str | None = None
    run: str = dataclasses.field(default_factory=lambda: secrets.token_hex(8))

    def encode(self) -> str:
        """Return the place as it is stored."""
        return json.dumps([self.run, self.after, *self.models])

    def past(self, key: str) -> Place:
        """Return the place after a row of the first model."""
        return dataclasses.replace(self, after=key)

    def rest(self) -> Place | None:
        """Return the place at which the next model begins, None where all have been sent."""
        return dataclasses.replace(self, models=self.models[1:], after=None) if len(self.models) > 1 else None


def decode(text: str) -> Place | None:
    """Read what `encode` wrote; None where nothing is stored, as all rows have been sent or none were asked for."""
    if not text:
        return None
    run, after, *models = json.loads(text)
    return Place(models=tuple(models), after=after, run=run)


class Read(NamedTuple):
    """A row that was read, and the item that tells of it."""

    key: str
    version: int
    item: str


def page(held: Held, *, using: str) -> Notification | None:
    """Read the next page of rows for a subscription; None where there are no more.

    All rows are read after its cursor was taken: what has changed since comes again, as changes.
    """
    place = held.initial
    size = held.most
    while place is not None:
        rows = _read(place, may=held.models, limit=size, using=using)
        kept = _fitting(rows)
        following = place.rest() if len(kept) == len(rows) < size else place.past(kept[-1].key)
        if kept:
            return _notification(held, place, kept, following)
        place = following
    return None


def _read(place: Place, *, may: Collection[str], limit: int, using: str) -> list[Read]:
    publication = registry.get(place.models[0])
    if publication is None or publication.label not in may:
        return []
    return [Read(*row) for row in sql.run(using, _query(publication, place, limit))]


def _query(publication: Publication, place: Place, limit: int) -> psql.Composed:
    rows = instances.query(publication, past=place.after, limit=limit)
    return sql.compose("queries/subscribe/rows", label=publication.label, rows=rows)


def _fitting(rows: list[Read]) -> list[Read]:
    """Return as many of the first rows as a notification may hold; one may be larger by itself."""
    size = 0
    for place, row in enumerate(rows):
        size += len(row.item)
        if place and size > notification.SIZE:
            return rows[:place]
    return rows


def _notification(held: Held, place: Place, rows: list[Read], following: Place | None) -> Notification:
    """Make a page of rows. It moves no cursor: the changes follow after the one that was taken before all rows."""
    made = notification.page(
        [Row(_number(place, row), place.models[0], OP, row.item) for row in rows],
        style=held.style,
        previous=held.told,
        cursor=held.cursor,
        text=held.told,
        more=following is not None,
    )
    return dataclasses.replace(made, following=following)


def _number(place: Place, row: Read) -> int:
    """Return a number for a row in its present state, below 0 so that it is no change's.

    It takes the place of a change's version where one is told from another: many rows may be of one version, or of
    none. The same row has another one when all begins anew, since its receiver is to take it again.
    """
    what = [place.run, place.models[0], row.key, row.version]
    return ~(int.from_bytes(hashlib.sha256(json.dumps(what).encode()).digest()[:8]) >> 1)
