"""The signing keys of subscriptions, opened for a worker."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pubsubpull import exceptions
from pubsubpull.subscriptions import signing_keys, vault
from pubsubpull.wire import signing

if TYPE_CHECKING:
    from pubsubpull.transports.base import Key


class Keyring:
    """Opens stored keys. The service's own keys are read from the database `using` once, at their first use.

    A secret that cannot be read gives no keys, and no error: this process alone may have the wrong settings, which is
    no reason to disable a subscription for all workers.
    """

    def __init__(self, using: str) -> None:
        self.using = using

    def keys(self, signature: str, secrets: str) -> tuple[Key, ...]:
        """Return the keys of a subscription from its kind of signature and its stored secrets."""
        return self._own if signature == signing.ED25519_VERSION else vault.loads(secrets)

    @functools.cached_property
    def _own(self) -> tuple[Key, ...]:
        try:
            return tuple(signing_keys.current(self.using))
        except exceptions.SecretError:
            return ()  # each send then fails with an error that names the cause
