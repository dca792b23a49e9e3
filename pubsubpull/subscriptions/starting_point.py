"""The cursor from which a subscription is sent changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pubsubpull import exceptions
from pubsubpull.log import expiry, feed
from pubsubpull.log.cursor import Cursor

if TYPE_CHECKING:
    from pubsubpull.subscriptions.spec import Wish


def of(wish: Wish, using: str) -> str | None:
    """Return the cursor from which the wish has the changes sent; None for where they are."""
    if not wish.instances:
        return cursor_at(wish.after, using)
    if wish.after is not None:
        raise exceptions.SubscriptionError("after", "must not be given with instances: changes follow upon the rows.")
    return cursor_at("now", using)


def cursor_at(after: str | None, using: str) -> str | None:
    """Return the cursor that `after` means; raises `SubscriptionError` or `CursorExpired`."""
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
    expiry.check(cursor, present)
    return after
