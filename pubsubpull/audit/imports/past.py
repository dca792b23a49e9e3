"""Imports the past of one model from another package: stages its changes first, then moves them into the log.

Imported changes have ids below 0, in the order of their times, in a partition of their own. The feed begins above 0, so
no reader of the feed, no subscriber and no replica gets them.
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

MOVED_AT_ONCE = 10_000
"""Changes that one transaction moves into the log."""
PARTITION_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between attempts to create the partition of imported changes."""


class Source(Protocol):
    """Another package's past of one model."""

    notes: list[str]
    """Texts on data that the import does not take over."""

    def batches(self) -> Iterator[psql.Composable]:
        """Yield queries that return changes, as `sql/queries/audit/imports/stage.sql` needs them.

        All changes of one object are in one query.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Staged:
    """The numbers of staged changes, by the import's decision on them."""

    new: int = 0
    """The changes to import."""
    known: int = 0
    """The changes that an earlier import has brought into the log."""
    same: int = 0
    """The changes that change nothing."""
    captured: int = 0
    """The changes that the log has captured itself."""
    retention: int = 0
    """The changes older than the retention."""
    erased: int = 0
    """The changes of erased objects."""
    first: dt.datetime | None = None
    """The time of the first change to import."""
    last: dt.datetime | None = None
    """The time of the last change to import."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Span:
    """The span of time to import."""

    captured: dt.datetime | None
    """The time of the model's first captured change: later changes are in the log already."""
    oldest: dt.datetime | None
    """The time before which retention would delete changes."""


class Import:
    """The import of a published model's past into the log of the database `using`."""

    def __init__(self, publication: Publication, source: Source, *, using: str, oldest: dt.datetime | None) -> None:
        """Prepare the import. Changes before `oldest` are not imported; None: all are."""
        self.publication = publication
        self.source = source
        self.using = using
        self._oldest = oldest

    def look(self) -> Staged:
        """Return the numbers of the changes that `run` would import, and write nothing."""
        with transaction.atomic(self.using):
            self._stage()
            staged = self._staged()
            # Staging is the only way to count them: now undo it.
            transaction.set_rollback(True, using=self.using)
        return staged

    def begin(self) -> Staged:
        """Stage the changes; return their numbers."""
        with transaction.atomic(self.using):
            self._stage()
            staged = self._staged()
        # After the staged changes are committed: an attempt that does not get its lock fails the transaction.
        if staged.new:
            create_partition(self.using)
        return staged

    def run(self, *, at_once: int = MOVED_AT_ONCE) -> Iterator[int]:
        """Move the staged changes into the log, `at_once` in each transaction; yield the number written by each."""
        at, position, last = "-infinity", 0, None
        while True:
            ((looked, written, at, position, last),) = self._run(
                "move", at=at, place=position, last=last, at_most=at_once
            )
            if looked:
                yield written
            # By the examined changes: a full batch may have only changes that the log has already.
            if looked < at_once:
                break
        self._run("clear")

    def _stage(self) -> None:
        """Stage the changes of the source."""
        # First: staged values get the texts that the capture functions give them, whatever the session's settings.
        self._run("settings")
        # Changes staged by an interrupted import are staged again: their source may have changed since.
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

    def _staged(self) -> Staged:
        """Return the numbers of the staged changes."""
        rows = {why: (number, known, first, last) for why, number, known, first, last in self._run("found")}
        number, known, first, last = rows.pop(None, (0, 0, None, None))
        left_out = {why: counted[0] for why, counted in rows.items()}
        return Staged(new=number - known, known=known, first=first, last=last, **left_out)

    def _run(self, name: str, **parts: Any) -> list[tuple[Any, ...]]:
        return sql.run(self.using, sql.compose(QUERY_FILES[name], label=self.publication.label, **parts))


QUERY_FILES = {
    "captured": "queries/audit/imports/captured",
    "clear": "queries/audit/imports/clear",
    "found": "queries/audit/imports/found",
    "move": "queries/audit/imports/move",
    "overlap": "queries/audit/imports/overlap",
    "settings": "queries/audit/imports/settings",
    "stage": "queries/audit/imports/stage",
}


def create_partition(using: str) -> None:
    """Create the partition of imported changes if it does not exist. Raises `ImportFailed` if the log stays locked."""
    for pause in (*PARTITION_PAUSES, None):
        try:
            # Waits for a moment only: writers of the log would queue behind it.
            ((created,),) = sql.run(using, sql.template("queries/audit/imports/make_past"))
        except OperationalError as error:
            if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise
            created = False
        if created:
            return
        if pause is not None:
            time.sleep(pause)
    raise exceptions.ImportFailed(
        "The partition of imported changes cannot be created: other transactions have the log locked. Run the command "
        "again."
    )
