"""Where in the log a span of time is: ids go with time, so that no index of the time is needed."""

from __future__ import annotations

import datetime as dt

from pubsubpull.capture import sql

LOWEST = -(2**63)
LATEST = 2**63 - 1
CLOCK_SLACK = dt.timedelta(minutes=10)
"""How much later than its `at` a change may get its id: as long as the changes of one statement are written."""
NEAR = 64
"""How exactly a moment is found where each change is asked for its time anyway, in ids: as many as a few pages hold."""


def widened(moment: dt.datetime, by: dt.timedelta) -> dt.datetime:
    """Return a moment so much later; at the end of all dates, the moment itself."""
    try:
        return moment + by
    except OverflowError:
        return moment


def bounds(since: dt.datetime | None, until: dt.datetime | None, using: str, *, near: int = NEAR) -> tuple[int, int]:
    """Return ids between which all changes of a span are: from the first on, and before the second.

    A change gets its time before its id. A change made `CLOCK_SLACK` before the span has a lower id than all changes of
    the span, and a change made `CLOCK_SLACK` after it has a higher id. Between these, each change tells its own time.
    """
    since, until = since and widened(since, -CLOCK_SLACK), until and widened(until, CLOCK_SLACK)
    (found,) = sql.run(using, sql.compose("queries/feed/ends", since=since, until=until))
    first, first_at, last, last_at, newest_past, past_since, past_until = found

    def find(moment: dt.datetime) -> tuple[int, int]:
        if first is None or moment <= first_at:
            return first or 1, first or 1
        ends = {"low": first, "high": last + 1, "low_at": first_at, "high_at": last_at}
        return sql.run(using, sql.compose("queries/feed/id_at", moment=moment, near=near, **ends))[0][:2]

    low, high = find(since)[0] if since else LOWEST, find(until)[1] if until else LATEST
    if newest_past is None:
        return low, high
    # The ids of the imported past are below those of captured changes, and tell their time by themselves.
    if since:
        low = past_since if past_since <= newest_past else low
    return low, min(past_until, 0) if until and high in {1, first} else high
