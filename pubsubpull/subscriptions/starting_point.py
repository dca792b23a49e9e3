"""The cursor at which a subscription starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pubsubpull import exceptions
from pubsubpull.log import expiry, feed
from pubsubpull.log.cursor import Cursor

if TYPE_CHECKING:
    from pubsubpull.subscriptions.spec import SubscriptionSpec


def of(requested: SubscriptionSpec, using: str) -> str | None:
    """Return the cursor at which the changes start; None to continue from the present one."""
    if not requested.instances:
        return cursor_at(requested.after, using)
    if requested.after is not None:
        raise exceptions.SubscriptionError("after", "must not be given with instances: the changes follow the rows.")
    # Taken before the first row is read: a change made meanwhile comes after the rows, and is not lost.
    return cursor_at("now", using)


def cursor_at(after: str | None, using: str) -> str | None:
    """Return the cursor that `after` stands for; raise `SubscriptionError` or `CursorExpired`."""
    if after is None:
        return None
    present = feed.present(using)
    if after == "now":
        return present.cursor().encode()
    if after == "start":
        return present.start().encode()
    try:
        cursor = Cursor.decode(after)
    except exceptions.CursorInvalid as error:
        raise exceptions.SubscriptionError("after", 'must be a cursor, "now" or "start".') from error
    # Checked now: the consumer gets the error at once, not a subscription that lapses with its first read.
    expiry.check(cursor, present)
    return after
