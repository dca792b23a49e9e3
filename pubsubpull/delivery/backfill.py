"""The rows that are there when a subscription begins: sent before the changes, in pages by primary key."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import secrets
from typing import TYPE_CHECKING, NamedTuple

from pubsubpull.base import times
from pubsubpull.capture import registry, sql
from pubsubpull.delivery import formats, notification
from pubsubpull.log.feed import Row
from pubsubpull.pull import instances

if TYPE_CHECKING:
    from pubsubpull.capture.registry import Publication
    from pubsubpull.delivery.lease import Held
    from pubsubpull.delivery.notification import Notification

OP = "S"
"""What stands for `snapshot` where the log has the letter of a change's operation."""
TIME = 12
"""The hexadecimal digits of a run's id that tell when it began, in milliseconds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """How far the rows have come."""

    models: tuple[str, ...]
    """Those that are still to be sent, or the rest of the first one."""
    run: str
    """The id of this run of all rows, which tells when it began."""
    after: str | None = None
    """The key of the first model's last row that was read."""
    begun: bool = False
    """True where the receiver has taken some of the first model's rows."""

    def encode(self) -> str:
        """Return the place as it is stored."""
        return json.dumps([self.run, self.begun, self.after, *self.models])

    def past(self, key: str, *, taken: bool) -> Place:
        """Return the place after a row of the first model, which was taken or set aside."""
        return dataclasses.replace(self, after=key, begun=self.begun or taken)

    def rest(self) -> Place | None:
        """Return the place at which the next model begins, None where all have been sent."""
        return Place(models=self.models[1:], run=self.run) if len(self.models) > 1 else None

    @property
    def at(self) -> float:
        """When the run began, in unix seconds."""
        return int(self.run[:TIME], 16) / 1000


def new_run(now: float) -> str:
    """Return the id of a run that begins now: of two, that of the later one sorts last."""
    return f"{int(now * 1000):0{TIME}x}{secrets.token_hex(4)}"


def decode(text: str) -> Place | None:
    """Read what `encode` wrote; None where nothing is stored, as all rows have been sent or none were asked for."""
    if not text:
        return None
    run, begun, after, *models = json.loads(text)
    return Place(models=tuple(models), run=run, after=after, begun=begun)


class Read(NamedTuple):
    """A row that was read, and the item that tells of it."""

    key: str
    version: int
    item: str
    cut: bool = False


def page(held: Held, *, using: str) -> Notification | None:
    """Read the next page of rows for a subscription; None where there are no more.

    All rows are read after its cursor was taken: what has changed since comes again, as changes.
    """
    place = held.initial
    while place is not None:
        publication = registry.get(place.models[0])
        if publication is not None and publication.label in held.models:
            return _next(held, publication, place, using)
        place = place.rest()
    return None


def _next(held: Held, publication: Publication, place: Place, using: str) -> Notification:
    """Return the next page of a model. One that has no rows, or none any more, ends with a page without any."""
    size = held.most
    rows = _read(publication, place, limit=size + 1, using=using)
    kept = _fitting(rows[:size])
    is_last = len(kept) == len(rows) and not any(row.cut for row in rows)
    snapshot = formats.Snapshot(id=place.run, model=place.models[0], first=not place.begun, last=is_last)
    made = notification.page(
        [Row(_number(place, row), place.models[0], OP, row.item) for row in kept] or _nothing(held, place),
        style=held.style,
        cursor=held.cursor,
        text=held.told,
        count=len(kept),
        snapshot=snapshot,
        said={"cursor": held.told},
    )
    last = kept[-1].key if kept else None
    return dataclasses.replace(
        made,
        following=place.rest() if is_last or last is None else place.past(last, taken=True),
        beyond=None if last is None else place.past(last, taken=False),
    )


def _nothing(held: Held, place: Place) -> list[Row]:
    """Return what tells that there are no rows: where each has a URL of its own, an item that has no key."""
    if not held.one_by_one:
        return []
    head = {"version": 0, "transaction": None, "model": place.models[0], "key": None, "op": "snapshot"}
    item = json.dumps({**head, "at": _began(place), "request": None, "old": None, "new": None}, separators=(",", ":"))
    return [Row(_number(place, Read(key="", version=-1, item="")), place.models[0], OP, item)]


def _began(place: Place) -> str:
    return str(times.text(dt.datetime.fromtimestamp(place.at, dt.UTC)))


def _read(publication: Publication, place: Place, *, limit: int, using: str) -> list[Read]:
    rows = instances.query(publication, past=place.after, limit=limit)
    query = sql.compose("queries/delivery/backfill", label=publication.label, at=_began(place), rows=rows)
    return [Read(*row) for row in sql.run(using, query)]


def _fitting(rows: list[Read]) -> list[Read]:
    """Return as many of the first rows as a notification may hold; one may be larger by itself."""
    size = 0
    for place, row in enumerate(rows):
        size += len(row.item)
        if place and size > notification.SIZE:
            return rows[:place]
    return rows


def _number(place: Place, row: Read) -> int:
    """Return a number for a row in its present state, below 0 so that it is no change's.

    It takes the place of a change's version where one is told from another: many rows may be of one version, or of
    none. The same row has another one when all begins anew, since its receiver is to take it again.
    """
    what = [place.run, place.models[0], row.key, row.version]
    return ~(int.from_bytes(hashlib.sha256(json.dumps(what).encode()).digest()[:8]) >> 1)
