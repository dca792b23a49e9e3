"""The way to the network: one protocol, the real thing through aiohttp, and one that only records, for tests."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from typing import TYPE_CHECKING, Protocol

import aiohttp
import yarl

from pubsubpull import exceptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

ANSWER_LIMIT = 64 * 1024
"""How much of an answer is read, in bytes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Response:
    """An answer: its status, its headers (names in lower case) and at most the first 64 KiB of its body."""

    status: int
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body_start: bytes = b""


class Transport(Protocol):
    """Sends a notification. Raises `exceptions.Unavailable` where there was no answer."""

    async def put(self, url: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """PUT `body` to `url` and return the answer, whatever its status."""

    async def close(self) -> None:
        """Let go of the connections."""


class HttpTransport:
    """Sends through aiohttp: connections are kept alive, redirects not followed, cookies not kept.

    `connect` is how long a connection may take, `read` how long the answer may, in seconds.
    """

    def __init__(self, *, connect: float, read: float) -> None:
        self.connect = connect
        self.read = read
        self._timeout = aiohttp.ClientTimeout(total=connect + read, sock_connect=connect, sock_read=read)
        self._session: aiohttp.ClientSession | None = None
        self._urls: dict[str, yarl.URL] = {}

    async def put(self, url: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """PUT `body` to `url` and return the answer, whatever its status."""
        try:
            async with self._open().put(self._url(url), data=body, headers=headers, allow_redirects=False) as response:
                return Response(
                    status=response.status,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body_start=await _beginning(response),
                )
        except TimeoutError as error:
            raise exceptions.Unavailable(
                f"no answer in time ({self.connect:g} s to connect, {self.read:g} s to answer)"
            ) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise exceptions.Unavailable(_reason(error)) from error

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        """Return the session; it belongs to the running loop, so it is made at the first call."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60, ttl_dns_cache=60),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                auto_decompress=False,
                trust_env=False,
                skip_auto_headers=("Accept-Encoding",),
            )
        return self._session

    def _url(self, url: str) -> yarl.URL:
        found = self._urls.get(url)
        if found is None:
            if len(self._urls) > 10_000:
                self._urls.clear()
            found = self._urls[url] = yarl.URL(url)
        return found


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Read the body up to the limit; a longer one costs its connection, rather than the time to read it."""
    parts: list[bytes] = []
    room = ANSWER_LIMIT
    while room and (part := await response.content.read(room)):
        parts.append(part)
        room -= len(part)
    if not room and not response.content.at_eof():
        response.close()
    return b"".join(parts)


def _reason(error: Exception) -> str:
    """Say what went wrong without the URL, which may hold something secret."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"the certificate was not accepted: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection: {error.os_error.strerror or type(error.os_error).__name__}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection was closed before the answer"
    if isinstance(error, aiohttp.InvalidURL):
        return "the callback's address is not valid"
    return f"the exchange broke off ({type(error).__name__})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sent:
    """A notification that a `RecordingTransport` was given."""

    url: str
    body: bytes
    headers: Mapping[str, str]


class RecordingTransport:
    """Sends nothing: keeps what it is given in `sent`, for tests of one's own.

    `answer` is what it returns: a `Response`, or a function of a `Sent` that returns one (it may be async) or raises.
    """

    def __init__(
        self,
        answer: Response | Callable[[Sent], Response | Awaitable[Response]] = Response(status=204),
    ) -> None:
        self.answer = answer
        self.sent: list[Sent] = []
        self.closed = False
        self._arrived = asyncio.Event()

    async def put(self, url: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """Record it and answer."""
        sent = Sent(url=url, body=body, headers=dict(headers))
        self.sent.append(sent)
        self._arrived.set()
        if isinstance(self.answer, Response):
            return self.answer
        answer = self.answer(sent)
        return await answer if inspect.isawaitable(answer) else answer

    async def arrived(self, count: int, *, limit: float = 10.0) -> list[Sent]:
        """Wait until `count` notifications have come and return them; raises `TimeoutError` after `limit` seconds."""
        async with asyncio.timeout(limit):
            while len(self.sent) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.sent

    async def close(self) -> None:
        """Note that it was closed."""
        self.closed = True
