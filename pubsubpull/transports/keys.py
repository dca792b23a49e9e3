"""The signing of a subscription's messages, the same for all transports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pubsubpull import conf, exceptions
from pubsubpull.capture import clock
from pubsubpull.wire import signing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pubsubpull.transports.base import Key, Message, Target

UNREADABLE = (
    "A stored secret cannot be read: it was encrypted with a key that is no longer in SECRET_KEY, "
    "SECRET_KEY_FALLBACKS or PUBSUBPULL['SECRET_KEYS']. Put it back, or give the subscription a new secret."
)


def valid(keys: Sequence[Key], now: float) -> list[str]:
    """Return the texts of the keys that have not ended."""
    return [key.text for key in keys if key.until is None or key.until > now]


def signed(target: Target, message: Message, *, now: float | None = None) -> dict[str, str]:
    """Return the three attributes of a message's signature; raise `SecretError` if no key is left.

    `now` is in unix seconds, by default from the database's clock.
    """
    now = clock.of(conf.get().DATABASE).now() if now is None else now
    # With each message: a key may end while a worker keeps the subscription.
    secrets = valid(target.keys, now)
    if not secrets:
        raise exceptions.SecretError(UNREADABLE)
    return signing.headers(secrets, notification=message.id, timestamp=int(now), body=message.body)
