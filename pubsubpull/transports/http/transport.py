"""The HTTP transport: OPTIONS to ask for consent, then a signed PUT for each message."""

from __future__ import annotations

import functools
import urllib.parse
from typing import TYPE_CHECKING

from pubsubpull import __version__, exceptions
from pubsubpull.capture import clock
from pubsubpull.transports import keys
from pubsubpull.transports.base import Outcome, Ready, Retry, Transport
from pubsubpull.transports.http import answers, consent, guard, uri_template
from pubsubpull.transports.http.client import AiohttpClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pubsubpull.conf import Settings
    from pubsubpull.transports.base import Message, Target
    from pubsubpull.transports.http.client import Client, Response
    from pubsubpull.transports.http.guard import Guard

AGENT = {"user-agent": f"pubsubpull/{__version__}"}
PORTS = {"http": 80, "https": 443}


class HttpTransport(Transport):
    """Sends messages to http and https addresses."""

    schemes = frozenset(PORTS)

    def __init__(
        self,
        *,
        client: Callable[[], Client],
        guard: Guard,
        origin: str,
        now: Callable[[], float],
        lookup_limit: float = 5.0,
    ) -> None:
        self.guard = guard
        """Decides which addresses are allowed."""
        self.origin = origin
        """The origin that asks receivers for their consent."""
        self.now = now
        """The clock of signatures, in unix seconds."""
        self.lookup_limit = lookup_limit
        """The limit of a name lookup while an address is checked, in seconds."""
        self._make_client = client

    @classmethod
    def of(cls, settings: Settings) -> HttpTransport:
        """Return the transport for the settings."""
        where = guard.Guard.of(settings)
        return cls(
            client=lambda: AiohttpClient(connect=settings.CONNECT_TIMEOUT, read=settings.READ_TIMEOUT, guard=where),
            guard=where,
            origin=consent.origin(settings),
            now=lambda: clock.of(settings.DATABASE).now(),
            lookup_limit=settings.CONNECT_TIMEOUT,
        )

    @functools.cached_property
    def client(self) -> Client:
        """The client. It is made at its first use, since a process that only checks addresses needs none."""
        return self._make_client()

    @property
    def connections(self) -> int | None:
        """The most connections at a time."""
        return self.client.connections

    def check(self, address: str) -> None:
        """Raise `SubscriptionError` for a callback with a wrong form, wrong variables, or a refused address."""
        uri_template.check(address)
        guard.check_callback(self.guard, uri_template.example(address), limit=self.lookup_limit)

    def endpoint(self, address: str) -> str:
        """Return the host and port: https://Billing.example/x → billing.example:443."""
        return endpoint(address)

    async def prepare(self, target: Target) -> Ready | Retry:
        """Ask the receiver for its consent."""
        asking = self.client.options(uri_template.stem(target.address), {**AGENT, **consent.request(self.origin)})
        response = await _answer(asking)
        if isinstance(response, Retry):
            return response
        return consent.outcome(response, origin=self.origin, now=self.now())

    async def send(self, target: Target, message: Message) -> Outcome:
        """PUT the signed message to its URL."""
        try:
            url = _url(target.address, message)
            # Signed anew for each attempt: receivers refuse old timestamps.
            signature = keys.signed(target, message, now=self.now())
        # Refused: no later attempt makes a URL of this key, so `on_failure` may set the change aside.
        except uri_template.Unexpandable as error:
            return Retry(error=str(error), refused=True, unsent=True)
        except exceptions.SecretError as error:
            return Retry(error=str(error), unsent=True)
        # The signature last: no attribute may replace it.
        headers = {**AGENT, "content-type": message.content_type, **message.attributes, **signature}
        response = await _answer(self.client.put(url, message.body, headers))
        if isinstance(response, Retry):
            return response
        return answers.outcome(response, now=self.now(), moves=message.change is None)

    async def close(self) -> None:
        """Close all connections."""
        # Asked without the property, which would make a client only to close it.
        if "client" in self.__dict__:
            await self.client.close()


@functools.lru_cache(maxsize=10_000)
def endpoint(url: str) -> str:
    """Return the host and port of a callback: https://Billing.example/x → billing.example:443."""
    parts = urllib.parse.urlsplit(url)
    name = (parts.hostname or "").removesuffix(".")
    return f"{name}:{parts.port or PORTS.get(parts.scheme, 0)}"


def _url(address: str, message: Message) -> str:
    """Return the URL for a message; raise `Unexpandable` if its change makes none."""
    change = message.change
    if change is None:
        return address
    try:
        return uri_template.expand(address, model=change.model, key=change.key, version=change.version)
    except uri_template.Unexpandable as error:
        text = f"Change {change.version} of {change.model} cannot be sent: {error}."
        raise uri_template.Unexpandable(text) from error


async def _answer(exchange: Awaitable[Response]) -> Response | Retry:
    """Return the answer; a `Retry` if none came."""
    try:
        return await exchange
    except exceptions.Unavailable as error:
        return Retry(error=f"The receiver could not be reached: {error}.", away=True)
