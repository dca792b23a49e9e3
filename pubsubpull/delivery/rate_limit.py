"""The rate limits of a subscription. Times are unix seconds."""

from __future__ import annotations


def batch(most: int, rate: float | None) -> int:
    """Return how many changes to send at once: at most as many as the rate allows in a second.

    100 at 10 a second → 10, at 0.5 a second → 1.
    """
    return most if rate is None else max(1, min(most, int(rate)))


def after(earliest: float | None, *, count: int, rate: float | None, now: float) -> float | None:
    """Return when the next change may be sent after `count` changes. Unused time is not made up for.

    5 changes at 10 a second, at 100.0 → 100.5; then 5 more at 100.1 → 101.0.
    """
    return None if rate is None else max(earliest or now, now) + count / rate


def next_at(
    earliest: float | None,
    *,
    changes: int,
    notifications: int,
    per_second: float | None,
    per_minute: int | None,
    now: float,
) -> float | None:
    """Return when the next notification may be sent, by changes a second and by notifications a minute."""
    minutely = None if per_minute is None else per_minute / 60
    by_changes = after(earliest, count=changes, rate=per_second, now=now)
    by_notifications = after(earliest, count=notifications, rate=minutely, now=now)
    return max(by_changes or 0.0, by_notifications or 0.0) or None
