"""The registry of transports: the settings name them, and an address's scheme chooses one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.module_loading import import_string

from pubsubpull import exceptions
from pubsubpull.transports.base import Outcome, Ready, Retry, Transport
from pubsubpull.transports.http.transport import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pubsubpull.conf import Settings
    from pubsubpull.transports.base import Message, Target

PARTS = ("schemes", "of", "connections", "check", "endpoint", "prepare", "send", "close")
"""The attributes that a transport's class must have."""


class Transports(Transport):
    """Several transports as one, chosen by the scheme of each address."""

    def __init__(self, transports: Iterable[Transport]) -> None:
        self._all = tuple(transports)
        self.schemes = frozenset().union(*(transport.schemes for transport in self._all))
        # In this order: of two transports for one scheme, the later one replaces the earlier.
        self._by_scheme = {scheme: transport for transport in self._all for scheme in transport.schemes}

    def chosen(self, address: str) -> Transport | None:
        """Return the transport for an address; None if its scheme is unknown."""
        return self._by_scheme.get(scheme(address))

    @property
    def connections(self) -> int | None:
        """The smallest limit of connections among the transports."""
        return min((most for transport in self._all if (most := transport.connections) is not None), default=None)

    def check(self, address: str) -> None:
        """Raise `SubscriptionError` for an address with an unknown scheme, or refused by its transport."""
        transport = self.chosen(address)
        if transport is None:
            known = " or ".join(f"{name}:" for name in sorted(self._by_scheme))
            raise exceptions.SubscriptionError("callback", f"must begin with {known}.")
        transport.check(address)

    def endpoint(self, address: str) -> str:
        """Return the name of the server at an address; the scheme alone if it is unknown."""
        transport = self.chosen(address)
        return f"{scheme(address)}:" if transport is None else transport.endpoint(address)

    async def prepare(self, target: Target) -> Ready | Retry:
        """Prepare the target with its transport."""
        transport = self.chosen(target.address)
        return _missing(target) if transport is None else await transport.prepare(target)

    async def send(self, target: Target, message: Message) -> Outcome:
        """Send the message with the target's transport."""
        transport = self.chosen(target.address)
        return _missing(target) if transport is None else await transport.send(target, message)

    async def close(self) -> None:
        """Close all transports."""
        for transport in self._all:
            await transport.close()


def of(settings: Settings) -> Transports:
    """Return the transports of the settings: HTTP, then TRANSPORTS. Of two for one scheme, the later counts."""
    # Imported here: the settings name classes of projects, whose modules may import this package.
    others: list[type[Transport]] = [import_string(name) for name in settings.TRANSPORTS]
    return Transports([HttpTransport.of(settings), *(other.of(settings) for other in others)])


def wrong(name: str) -> str | None:
    """Return the error of a name in TRANSPORTS; None if it names a transport's class."""
    try:
        named = import_string(name)
    except ImportError as error:
        return f"cannot be imported: {error}"
    missing = [part for part in PARTS if not hasattr(named, part)]
    return f"is no transport: it has no {', '.join(missing)}" if missing else None


def scheme(address: str) -> str:
    """Return the scheme of an address, in lower case: HTTPS://x → https."""
    return address.partition(":")[0].lower() if ":" in address else ""


def _missing(target: Target) -> Retry:
    # Unsent: the settings of this worker are no fault of the endpoint.
    return Retry(error=f"This worker has no transport for {scheme(target.address)}: addresses.", unsent=True)
