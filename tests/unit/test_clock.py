"""The one clock is the database's: no module reads this machine's time, with a few exceptions."""

from __future__ import annotations

import pathlib
import re

import pubsubpull
from pubsubpull.capture.clock import Clock

ROOT = pathlib.Path(pubsubpull.__file__).parent
MAY = {
    "capture/clock.py": "where the database has never been asked",
    "replica/jobs.py": "a task's backend compares with its own clock when it is to run",
    "audit/integrity/proof.py": "who verifies does not believe the database, nor what time it says it is",
    "audit/context/contexts.py": "an id that sorts by time, and means nothing else",
}
ASKS = re.compile(r"\btime\.time(_ns)?\(|timezone\.now\(|datetime\.(now|utcnow|today)\(|date\.today\(")


def test_no_module_reads_the_time_of_this_machine():
    asking = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if ASKS.search(path.read_text("utf-8"))}
    assert asking == set(MAY)


def test_a_clock_counts_on_from_the_databases_time():
    counted = iter([100.0, 104.0, 110.0, 110.0, 170.0])
    clock = Clock(lambda: next(counted))
    assert Clock().stale
    asked = clock.count()
    clock.tell(5000.0, asked=asked)
    assert clock.now() == 5000.0 + 110.0 - 102.0
    assert not clock.stale
    assert clock.stale
