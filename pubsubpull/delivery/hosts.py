"""What all workers know of hosts that do not answer: a row for each that is sick, none for one that is well."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from django.db import transaction

from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sick:
    """A host that did not answer, `failures` times in a row.

    `began` is how long ago the last exchange that failed was begun, `wait` how long nobody is to try, in seconds.
    """

    failures: int
    began: float
    wait: float
    error: str


class Store:
    """The table of sick hosts in the database `using`; times are of its clock."""

    def __init__(self, using: str) -> None:
        self.using = using

    def sick(self) -> dict[str, Sick]:
        """Return the hosts that are sick; those that nobody has tried for a day are forgotten."""
        return {
            name: Sick(failures=failures, began=began, wait=wait, error=error)
            for name, failures, began, wait, error in sql.run(self.using, sql.compose("queries/hosts/sick"))
        }

    def failed(
        self, name: str, *, took: float, error: str, limit: int, probe: bool, pause: Callable[[int], float]
    ) -> int | None:
        """Count a failure and return how many there are in a row; None if it says nothing new of the host.

        From `limit` on nobody is to try for `pause(failures)` seconds; then only a probe is news.
        """
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
        """Have nobody try the host for so long."""
        sql.run(self.using, sql.compose("queries/hosts/hold", host=name, seconds=seconds))

    def probe(self, name: str, seconds: float) -> bool:
        """Take the one probe that is due; for so many seconds nobody else gets one. False where another has it."""
        return bool(sql.run(self.using, sql.compose("queries/hosts/probe", host=name, seconds=seconds)))

    def well(self, name: str) -> None:
        """Forget that the host was sick."""
        sql.run(self.using, sql.compose("queries/hosts/well", host=name))
