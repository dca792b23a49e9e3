"""The writes, act by act: each is made, watched, and waited for until all of it is at billing."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from example.demo import writes

if TYPE_CHECKING:
    from collections.abc import Callable

    from example.demo.display import Display
    from example.demo.measure import Databases, Progress
    from example.demo.processes import Processes
    from example.demo.services import Services

ARRIVAL = 60.0
"""Seconds that the last change of an act may take to arrive."""
TICK = 0.005
"""Seconds between two looks at whether all has arrived."""
LEAST = 20
"""How many rows an act writes at the least."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Written:
    """How many changes were committed, in how many seconds; `before`: seconds that a process took to begin and end."""

    changes: int
    seconds: float
    before: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Act:
    """A way of writing, and its result: versions above `first` up to `last`; times in seconds."""

    title: str
    committed: int
    captured: int
    applied: int
    pages: int
    first: int
    last: int
    writing: float
    arriving: float

    @property
    def problem(self) -> str | None:
        """Describe the failed expectation."""
        if self.committed == self.captured == self.applied:
            return None
        return (
            f"{self.title}: {self.committed:,} changes committed, {self.captured:,} captured, {self.applied:,} applied"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """Where the acts are played. `watcher` is for the eyes of another thread only."""

    show: Display
    processes: Processes
    databases: Databases
    watcher: Databases

    def play(self, title: str, write: Callable[[], Written]) -> Act:
        """Write, and wait until everything written has been applied."""
        before = self.databases.progress()
        since = {"version": before.last_version, "page": before.last_page}
        began = time.monotonic()
        with self.show.watching(title, lambda: _figures(self.watcher.progress(**since))):
            wrote = write()
            after = self._arrived(title, since)
        act = Act(
            title=title,
            committed=wrote.changes,
            captured=after.captured,
            applied=after.applied,
            pages=after.pages,
            first=before.last_version,
            last=after.last_version,
            writing=wrote.seconds,
            arriving=time.monotonic() - began - wrote.before,
        )
        self.show.outcome(
            f"{title:<20}{act.captured:>7,} changes captured, pushed in {act.pages:,} page{'s' * (act.pages != 1)}",
            good=act.problem is None,
        )
        return act

    def _arrived(self, title: str, since: dict[str, int]) -> Progress:
        end = time.monotonic() + ARRIVAL
        while (now := self.databases.progress(**since)).lag > 0:
            self.processes.check()
            if time.monotonic() > end:
                raise self.processes.failure(
                    "delivery", f"has left {now.lag:,} changes undelivered {ARRIVAL:.0f} seconds after: {title}"
                )
            time.sleep(TICK)
        return now


def play_all(stage: Stage, services: Services, url: str, count: int) -> tuple[list[Act], int]:
    """Write about `count` changes to the shop, whose database is at `url`; the acts, and an order to look into."""
    stage.show.chapter("The shop is written to, in every way there is")
    stage.show.say("Each change is captured in the transaction that makes it, then pushed.")
    made: list[int] = []

    def over_http() -> int:
        order, changes = writes.over_http(services.shop, services.users, max(8, min(count // 100, 400)))
        made.append(order)
        return changes

    def import_customers() -> Written:
        began = time.monotonic()
        said = stage.processes.run("shop-import", "example.shop", "import_customers", str(rows)).split()
        seconds = float(said[1])
        return Written(changes=int(said[0]), seconds=seconds, before=time.monotonic() - began - seconds)

    rows = max(LEAST, count // 5)
    seconds = 4.0 if count >= 10_000 else 1.0
    acts = [
        stage.play("HTTP, by two users", _timed(over_http)),
        stage.play("SQL by hand", _timed(lambda: writes.by_sql(url, made[0], rows))),
        stage.play("bulk_create", import_customers),
        stage.play("COPY", _timed(lambda: writes.by_copy(url, 2 * rows))),
        stage.play(f"{writes.CLIENTS} clients at once", _timed(lambda: writes.by_clients(url, seconds))),
    ]
    stage.show.say("All of it is at billing: the lag is 0 changes.")
    return acts, made[0]


def _timed(write: Callable[[], int]) -> Callable[[], Written]:
    def timed() -> Written:
        began = time.monotonic()
        changes = write()
        return Written(changes=changes, seconds=time.monotonic() - began)

    return timed


def _figures(now: Progress) -> tuple[int, int, str]:
    return now.applied, now.captured, f"{now.captured:,} captured, {now.pages:,} pages, lag {now.lag:,}"
