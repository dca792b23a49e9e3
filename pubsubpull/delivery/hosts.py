"""The hosts that do not answer, as all workers share them: a row for each failing host, none for any other."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from django.db import transaction

from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclasses.dataclass(frozen=True, kw_only=True)
class FailingHost:
    """A host that did not answer lately."""

    failures: int
    """How many exchanges with the host have failed in a row."""
    began: float
    """How long ago the last failed exchange began, in seconds."""
    wait: float
    """How long no worker may try the host, in seconds."""
    error: str
    """The error of the last failed exchange."""


class Store:
    """The table of failing hosts in the database `using`. All times are by the database's clock."""

    def __init__(self, using: str) -> None:
        self.using = using

    def failing(self) -> dict[str, FailingHost]:
        """Return the failing hosts by name. A host that was not tried for a day is forgotten."""
        return {
            name: FailingHost(failures=failures, began=began, wait=wait, error=error)
            for name, failures, began, wait, error in sql.run(self.using, sql.compose("queries/hosts/failing"))
        }

    def failed(
        self, name: str, *, took: float, error: str, limit: int, probe: bool, pause: Callable[[int], float]
    ) -> int | None:
        """Count a failure and return how many there are in a row; None if the failure does not count.

        From `limit` failures on, no worker may try the host for `pause(failures)` seconds, and only a probe's failure
        counts.
        """
        # One transaction: a failure that is counted without its pause would let every worker try at once.
        with transaction.atomic(using=self.using):
            query = sql.compose("queries/hosts/failed", host=name, took=took, error=error, threshold=limit, probe=probe)
            counted: list[tuple[int]] = sql.run(self.using, query)
            if not counted:
                return None
            ((failures,),) = counted
            if failures >= limit:
                self.hold(name, pause(failures))
        return failures

    def hold(self, name: str, seconds: float) -> None:
        """Keep all workers from trying the host for so many seconds."""
        sql.run(self.using, sql.compose("queries/hosts/hold", host=name, seconds=seconds))

    def probe(self, name: str, seconds: float) -> bool:
        """Take the host's probe, if it is due, for so many seconds; return False if another worker has it."""
        return bool(sql.run(self.using, sql.compose("queries/hosts/probe", host=name, seconds=seconds)))

    def close(self, name: str) -> None:
        """Close the host's circuit: forget its failures."""
        sql.run(self.using, sql.compose("queries/hosts/close", host=name))
