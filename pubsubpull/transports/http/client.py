"""The HTTP client: the only way from a worker to a receiver's network, through aiohttp."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import io
import logging
import os
import re
import time
from typing import TYPE_CHECKING, Protocol

import aiohttp
import yarl

from pubsubpull import exceptions
from pubsubpull.transports.http import descriptors
from pubsubpull.transports.http.connections import KEEPALIVE, connector
from pubsubpull.transports.http.guard import Guard, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

ANSWER_LIMIT = 64 * 1024
"""The most bytes read of an answer's body."""
HOSTS_REMEMBERED = 10_000
"""How many checked hosts are remembered; then all are forgotten."""
PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""The pauses between attempts while the system has no descriptor for a connection, in seconds."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
ONE_PIECE_LIMIT = 512 * 1024
"""The most bytes of a body that is handed to aiohttp in one piece; a larger body is streamed."""

logger = logging.getLogger("pubsubpull")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Response:
    """An HTTP answer."""

    status: int
    """The status code."""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """The headers, with names in lower case."""
    body_start: bytes = b""
    """The first 64 KiB of the body, or all of it."""


class Client(Protocol):
    """The protocol of a client. It raises `exceptions.Unavailable` if no answer came."""

    connections: int | None
    """The most connections at a time; None for no limit."""

    async def put(self, url: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """PUT `body` to `url` and return the answer of any status."""

    async def options(self, url: str, headers: Mapping[str, str]) -> Response:
        """Send OPTIONS to `url` and return the answer of any status."""

    async def close(self) -> None:
        """Close all connections."""


class AiohttpClient:
    """Sends through aiohttp, with connections kept alive, and without redirects, proxies or cookies.

    `connect` and `read` limit the time to connect and to answer, in seconds. `guard` decides which addresses are
    allowed, as each socket is made; by default, only public ones. Of at most `connections`, half are in use, and half
    are kept open for the hosts that were used last.
    """

    def __init__(
        self, *, connect: float, read: float, guard: Guard | None = None, connections: int | None = None
    ) -> None:
        most = connections or descriptors.room()
        self.connections: int | None = most
        self._kept_at_most = most - max(most // 2, 1)
        self._turns = asyncio.Semaphore(max(most // 2, 1))
        self._kept = collections.OrderedDict[str, float]()
        self.connect = connect
        self.read = read
        self.guard = guard or Guard()
        # In total, too: with a byte now and then, a receiver could hold a turn for ever.
        self._timeout = aiohttp.ClientTimeout(total=connect + read, sock_connect=connect, sock_read=read)
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._trusted: dict[str, bool] = {}

    async def put(self, url: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """PUT `body` to `url` and return the answer of any status."""
        return await self._send("PUT", url, headers, body)

    async def options(self, url: str, headers: Mapping[str, str]) -> Response:
        """Send OPTIONS to `url` and return the answer of any status."""
        return await self._send("OPTIONS", url, headers)

    async def close(self) -> None:
        """Close all sessions."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Response:
        # A turn is held during the pauses, too: another send would meet the same lack of descriptors.
        async with self._turns:
            for pause in PAUSES:
                try:
                    return await self._send_now(method, url, headers, body)
                except _NoDescriptorError:
                    logger.warning("pubsubpull: no descriptor is left for a connection; a send waits %s s", pause)
                    await asyncio.sleep(pause)
            try:
                return await self._send_now(method, url, headers, body)
            except _NoDescriptorError as error:
                raise exceptions.Unavailable("the worker has no descriptor left for a connection") from error

    def _keeps(self, url: yarl.URL) -> bool:
        """True if the connection to a host may be kept open: the host is among those used last."""
        now, host = time.monotonic(), f"{url.scheme}://{url.authority}"
        while self._kept and (next(iter(self._kept.values())) < now - KEEPALIVE):
            self._kept.popitem(last=False)
        if host not in self._kept and len(self._kept) >= self._kept_at_most:
            return False
        self._kept[host] = now
        self._kept.move_to_end(host)
        return True

    async def _send_now(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        try:
            address, trusted = self._url(url)
            data = io.BytesIO(body) if body is not None and len(body) > ONE_PIECE_LIMIT else body
            headers = _sendable(headers) if self._keeps(address) else {**_sendable(headers), "Connection": "close"}
            # No redirect: from a trusted host, whose session checks no address, it could lead anywhere.
            async with self._session(trusted).request(
                method, address, data=data, headers=headers, allow_redirects=False
            ) as response:
                return Response(
                    status=response.status,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body_start=await _beginning(response),
                )
        # Before the others: a TimeoutError is an OSError, too.
        except TimeoutError as error:
            raise exceptions.Unavailable(
                f"no answer in time ({self.connect:g} s to connect, {self.read:g} s to answer)"
            ) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if descriptors.is_exhausted(getattr(error, "os_error", error)):
                raise _NoDescriptorError from error
            raise exceptions.Unavailable(_reason(error)) from error

    def _session(self, trusted: bool) -> aiohttp.ClientSession:
        """Return the session for trusted hosts, or for all others. The two share no connection."""
        # At the first call, not in __init__: a session belongs to the running loop.
        if trusted not in self._sessions:
            self._sessions[trusted] = aiohttp.ClientSession(
                connector=connector(self.guard, trusted=trusted),
                # All subscriptions share the session: no cookie of one must go out with the messages of another.
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                # An answer of a few bytes could unpack to gigabytes.
                auto_decompress=False,
                # No proxy from the environment: it would connect where the guard cannot see.
                trust_env=False,
                # Compressed answers are not unpacked, so none are asked for.
                skip_auto_headers=("Accept-Encoding",),
            )
        return self._sessions[trusted]

    def _url(self, url: str) -> tuple[yarl.URL, bool]:
        """Return the URL, and True if its host is trusted; raise `guard.Refused`."""
        address = yarl.URL(url)
        # Up to the host only: the path decides nothing, and differs with each change of a callback with variables.
        start = "/".join(url.split("/", 3)[:3])
        if start not in self._trusted:
            self.guard.check(start)
            if len(self._trusted) > HOSTS_REMEMBERED:
                self._trusted.clear()
            self._trusted[start] = self.guard.trusts(address.host or "")
        return address, self._trusted[start]


class _NoDescriptorError(Exception):
    """The system has no descriptor left for a connection."""


def _sendable(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers without invalid values, such as a trace with a line break.

    An invalid value would fail each attempt, and so stop the subscription.
    """
    return {name: value for name, value in headers.items() if not _CONTROL.search(value)}


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Return the body up to the limit. A longer body closes its connection instead of being read."""
    parts: list[bytes] = []
    room = ANSWER_LIMIT
    while room and (part := await response.content.read(room)):
        parts.append(part)
        room -= len(part)
    if not room and not response.content.at_eof():
        response.close()
    return b"".join(parts)


def _reason(error: Exception) -> str:  # noqa: PLR0911  a table
    """Return the reason of an error, without the URL, which may hold a secret."""
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, Refused):
        return str(error.os_error)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"the certificate was not accepted: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection: {_system_reason(error.os_error)}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection was closed before the answer"
    if isinstance(error, aiohttp.InvalidURL):
        return "the callback's address is not valid"
    if isinstance(error, aiohttp.ClientPayloadError) and "too long" in str(error):
        return str(error)
    if isinstance(error, aiohttp.ClientResponseError):
        return "the exchange broke off: the answer is not valid HTTP"
    return f"the exchange broke off ({type(error).__name__})"


def _system_reason(error: OSError) -> str:
    """Return the system's own words, without the address that asyncio adds: consumers must not learn it."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or type(error).__name__
