"""The ids between which a span of time lies. Ids grow with time, so that the log needs no index on its times."""

from __future__ import annotations

import datetime as dt

from pubsubpull.capture import sql

LOWEST = -(2**63)
LATEST = 2**63 - 1
CLOCK_SLACK = dt.timedelta(minutes=10)
"""The longest time between a change's `at` and its id: as long as a statement takes to write its changes."""
NEAR = 64
"""The exactness of a moment in ids, where the caller compares each change's time anyway: a few pages of the log."""


def widened(moment: dt.datetime, by: dt.timedelta) -> dt.datetime:
    """Return `moment + by`, or `moment` where no date is so late or so early."""
    try:
        return moment + by
    except OverflowError:
        # A caller may ask for the year 9999: bounds that are too wide cost time, and a change too few would be wrong.
        return moment


def bounds(since: dt.datetime | None, until: dt.datetime | None, using: str, *, near: int = NEAR) -> tuple[int, int]:
    """Return the ids `(low, high)` with `low <= id < high` for all changes of a span of time. None is an open end.

    Changes outside the span may lie between the two ids as well: the caller compares each change's time.
    """
    # A change gets its time before its id. A change made CLOCK_SLACK before the span therefore has a lower id than all
    # changes of the span, and a change made CLOCK_SLACK after the span has a higher id.
    since, until = since and widened(since, -CLOCK_SLACK), until and widened(until, CLOCK_SLACK)
    (ends,) = sql.run(using, sql.compose("queries/feed/ends", since=since, until=until))
    first, first_at, last, last_at, newest_past, past_since, past_until = ends

    def find(moment: dt.datetime) -> tuple[int, int]:
        if first is None or moment <= first_at:
            return first or 1, first or 1
        ends = {"low": first, "high": last + 1, "low_at": first_at, "high_at": last_at}
        return sql.run(using, sql.compose("queries/feed/id_at", moment=moment, near=near, **ends))[0][:2]

    low, high = find(since)[0] if since else LOWEST, find(until)[1] if until else LATEST
    if newest_past is None:
        return low, high
    # The imported past has negative ids, which are computed from its times: the search above does not apply to it.
    if since:
        low = past_since if past_since <= newest_past else low
    return low, min(past_until, 0) if until and high in {1, first} else high
