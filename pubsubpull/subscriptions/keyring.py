"""The keys that sign for subscriptions, as a worker takes them in hand."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pubsubpull import exceptions
from pubsubpull.subscriptions import signing_keys, vault
from pubsubpull.wire import signing

if TYPE_CHECKING:
    from pubsubpull.transports.base import Key


class Keyring:
    """Opens stored keys. The service's own are read from the database `using` once, for the first that needs them.

    What cannot be read gives no keys: that may be this process's fault, and is no reason to end a subscription for all.
    """

    def __init__(self, using: str) -> None:
        self.using = using

    def keys(self, signature: str, secrets: str) -> tuple[Key, ...]:
        """Return the keys of a subscription with this kind of signature and these secrets, as they are stored."""
        return self._own if signature == signing.PUBLIC_VERSION else vault.loads(secrets)

    @functools.cached_property
    def _own(self) -> tuple[Key, ...]:
        try:
            return tuple(signing_keys.current(self.using))
        except exceptions.SecretError:
            return ()
