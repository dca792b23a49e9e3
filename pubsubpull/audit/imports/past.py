"""Importing one model's past: what another package has is written down first, and then brought into the log by parts.

Imported changes have ids below 0 that go with their times, in a partition of their own. The feed begins above 0, so no
reader of it, no subscriber and no replica gets one.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any, Protocol

import psycopg.errors
from django.db import OperationalError, transaction

from pubsubpull import exceptions
from pubsubpull.capture import sql

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from psycopg import sql as psql

    from pubsubpull.capture.registry import Publication

BATCH = 10_000
"""How many changes are brought into the log in one transaction."""
PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between attempts to make the partition of the past."""


class Source(Protocol):
    """Another package's past of one model."""

    notes: list[str]
    """What is not carried over, in words."""

    def batches(self) -> Iterator[psql.Composable]:
        """Give queries of its changes, each with all of some objects, as `sql/queries/audit/imports/stage.sql` says."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What there is: `new` changes to bring in, from `first` to `last`, `there` that the log has, and others by why."""

    new: int = 0
    there: int = 0
    same: int = 0
    captured: int = 0
    retention: int = 0
    erased: int = 0
    first: dt.datetime | None = None
    last: dt.datetime | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Span:
    """The time of which changes are brought in: kept by retention since `oldest`, and before the `captured` ones."""

    captured: dt.datetime | None
    oldest: dt.datetime | None


class Import:
    """The import of a published model's past into the log of the database `using`."""

    def __init__(self, publication: Publication, source: Source, *, using: str, oldest: dt.datetime | None) -> None:
        self.publication = publication
        self.source = source
        self.using = using
        self._oldest = oldest

    def look(self) -> Found:
        """Say what `run` would bring in, and leave nothing behind."""
        with transaction.atomic(self.using):
            self._stage()
            found = self._found()
            transaction.set_rollback(True, using=self.using)
        return found

    def begin(self) -> Found:
        """Write down what is to be brought in."""
        with transaction.atomic(self.using):
            self._stage()
            found = self._found()
        if found.new:
            make_partition(self.using)
        return found

    def run(self, *, at_once: int = BATCH) -> Iterator[int]:
        """Bring it in, part by part, each in a transaction of its own; give how many changes each part wrote."""
        at, place, last = "-infinity", 0, None
        while True:
            ((looked, written, at, place, last),) = self._run("move", at=at, place=place, last=last, at_most=at_once)
            if looked:
                yield written
            if looked < at_once:
                break
        self._run("clear")

    def _stage(self) -> None:
        self._run("settings")
        self._run("clear")
        rows = self._run("captured")
        span = Span(captured=rows[0][0] if rows else None, oldest=self._oldest)
        for batch in self.source.batches():
            self._run(
                "stage",
                source=batch,
                columns=self.publication.key_columns,
                excluded=self.publication.excluded_columns,
                masked=self.publication.masked_columns,
                captured=span.captured,
                oldest=span.oldest,
            )
        if span.captured:
            self._run("overlap", captured=span.captured)

    def _found(self) -> Found:
        rows = {why: (number, there, first, last) for why, number, there, first, last in self._run("found")}
        number, there, first, last = rows.pop(None, (0, 0, None, None))
        others = {why: counted[0] for why, counted in rows.items()}
        return Found(new=number - there, there=there, first=first, last=last, **others)

    def _run(self, name: str, **parts: Any) -> list[tuple[Any, ...]]:
        return sql.run(self.using, sql.compose(FILES[name], label=self.publication.label, **parts))


FILES = {
    "captured": "queries/audit/imports/captured",
    "clear": "queries/audit/imports/clear",
    "found": "queries/audit/imports/found",
    "move": "queries/audit/imports/move",
    "overlap": "queries/audit/imports/overlap",
    "settings": "queries/audit/imports/settings",
    "stage": "queries/audit/imports/stage",
}


def make_partition(using: str) -> None:
    """Make the partition of the past, where it is not there. Raises `ImportFailed` where others' locks stay."""
    for pause in (*PAUSES, None):
        try:
            ((made,),) = sql.run(using, sql.template("queries/audit/imports/make_past"))
        except OperationalError as error:
            if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise
            made = False
        if made:
            return
        if pause is not None:
            time.sleep(pause)
    raise exceptions.ImportFailed("The partition of the past cannot be made: others' locks are in the way. Try again.")
