"""Where in the log a span of time is: ids go with time, so that no index of the time is needed."""

from __future__ import annotations

import datetime as dt

from pubsubpull.capture import sql

LOWEST = -(2**63)
LATEST = 2**63 - 1
SLACK = dt.timedelta(minutes=10)
"""How much later than its `at` a change may get its id: as long as the changes of one statement are written."""


def bounds(since: dt.datetime | None, until: dt.datetime | None, using: str) -> tuple[int, int]:
    """Return ids between which all changes of a span are: from the first on, and before the second.

    A change has its time before its id. What was made `SLACK` before the span has its id before those of the span, and
    what was made `SLACK` after it has a later one; between these, each change tells its own time.
    """
    since, until = since and since - SLACK, until and until + SLACK
    ((first, last, newest_past, past_since, past_until),) = sql.run(
        using, sql.compose("queries/ends", since=since, until=until)
    )

    def find(moment: dt.datetime) -> int:
        if first is None:
            return 1
        return int(sql.run(using, sql.compose("queries/id_at", low=first, high=last + 1, moment=moment))[0][0])

    low, high = find(since) if since else LOWEST, find(until) if until else LATEST
    if newest_past is None:
        return low, high
    # The ids of the imported past are below those of captured changes, and tell their time by themselves.
    if since:
        low = past_since if past_since <= newest_past else low
    return low, min(past_until, 0) if until and first in {None, high} else high
