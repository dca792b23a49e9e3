"""Guarded connections: each address is checked as its socket is made, so no later lookup can change it."""

from __future__ import annotations

import functools
import re
import socket
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import ClientPayloadError, ServerDisconnectedError
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler

from pubsubpull.transports.http.dns import Lookups

if TYPE_CHECKING:
    import asyncio

    from aiohappyeyeballs import AddrInfoType

    from pubsubpull.transports.http.guard import Guard

DNS_TTL = 60
"""How long the addresses of a name are used for new connections, in seconds."""
KEEPALIVE = 60
"""How long an unused connection is kept, in seconds."""

HEAD_LIMIT = 64 * 1024
"""The most bytes of an answer's head, together with the interim ones before it."""
LIMIT = 1024 * 1024
"""The most bytes of an answer: its head and its body, with the framing of chunks."""
HEAD_END = re.compile(rb"\n\r?\n")
BODILESS = {b"204", b"304"}
"""The statuses of answers without a body."""
FRAMED = re.compile(rb"\n(content-length:[ \t]*0*[1-9]|transfer-encoding:)", re.IGNORECASE)
"""The headers that announce a body."""


class Resolver(AbstractResolver):
    """Resolves names with the guard's `resolve`. Refused addresses are left out, except for trusted hosts."""

    def __init__(self, guard: Guard, *, trusted: bool) -> None:
        self._guard = guard
        self._trusted = trusted
        self._lookups = Lookups(guard.resolve)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the allowed addresses of a host; raise `Refused` if there are none."""
        addresses = await self._lookups(host, port)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=_family(address),
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in (addresses if self._trusted else self._guard.allowed(addresses))
            if family in {socket.AF_UNSPEC, _family(address)}
        ]

    async def close(self) -> None:
        """Do nothing: a resolver keeps nothing open."""


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Answers(ResponseHandler):
    """The answers on one connection, limited in size, and tolerant of bodies where none is allowed.

    Some receivers send a body with a 204, which aiohttp takes for the start of the next answer. Here such a body only
    closes the connection: neither this notification nor the next one fails.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._head = bytearray()
        self._head_size = self._size = 0
        self._in_head = False
        self._bodiless = False
        self._used = False
        self._again = False

    def set_response_params(self, **params: Any) -> None:
        """Prepare for the next answer."""
        self._head.clear()
        self._head_size = self._size = 0
        self._again, self._used = self._used, True
        self._in_head, self._bodiless = True, False
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Take received data, up to the limit of an answer."""
        self._size += len(data)
        if self._size > LIMIT:
            self._fail(ClientPayloadError("the answer is too long"))
            return
        while data and self._in_head:
            data = self._take_head(data)
            if self.exception() is not None:
                return
        if not self._bodiless:
            super().data_received(data)
        elif data:
            self.force_close()
            if self.transport is not None:
                self.transport.close()

    def close(self) -> None:
        """Close the connection."""
        # Abort with data unsent: a receiver that does not read could otherwise keep the connection open for ever.
        if self.transport is not None and self.transport.get_write_buffer_size():
            self.abort()
        else:
            super().close()

    def _take_head(self, data: bytes) -> bytes:
        """Take data up to the end of the head; return the rest."""
        if self._again and not self._head and not data.startswith(b"HTTP/"[: len(data)]):
            # The data belongs to the answer before. With this error, aiohttp sends again on another connection.
            self._fail(ServerDisconnectedError("the data is not an answer"))
            return b""
        before = len(self._head)
        end = HEAD_END.search(data) if not before else None
        if end is not None:  # most heads come in one piece
            self._judge(data, cut := end.end())
        else:
            cut = self._gather(data, before)
        self._head_size += cut
        if self._head_size > HEAD_LIMIT:
            self._fail(ClientPayloadError("the head of the answer is too long"))
            return b""
        super().data_received(data[:cut])
        return data[cut:]

    def _gather(self, data: bytes, before: int) -> int:
        """Append data to a head in pieces; return how many of its bytes belong to the head."""
        self._head += data
        # The end may lie across two pieces: up to two of its bytes came before.
        end = HEAD_END.search(self._head, max(before - 2, 0))
        if end is None:
            return len(data)
        self._judge(bytes(self._head), end.end())
        self._head.clear()
        return end.end() - before

    def _judge(self, head: bytes, end: int) -> None:
        """Note from a whole head if another head, a body or nothing must follow."""
        status = head[9:12]
        # After 101 no further head follows: the connection has another protocol then.
        self._in_head = status[:1] == b"1" and status != b"101"
        self._bodiless = status in BODILESS
        # The announced body may still come: it must not be taken for the next answer.
        if self._bodiless and FRAMED.search(head, 0, end):
            self.force_close()

    def _fail(self, error: Exception) -> None:
        self.set_exception(error)
        if self._payload is not None:
            self._payload.set_exception(error)
        self.force_close()
        if self.transport is not None:
            # Not close(), which waits until a receiver that may not read has taken all data.
            self.transport.abort()


class Connector(aiohttp.TCPConnector):
    """aiohttp's connector with `Answers` as its protocol."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # aiohttp has no public way to set this. If the name changes, the tests of answers without a body fail.
        self._factory = functools.partial(Answers, loop=self._loop)  # type: ignore[assignment]


def connector(guard: Guard, *, trusted: bool) -> aiohttp.TCPConnector:
    """Return a connector: to all addresses for trusted hosts, else only to allowed addresses."""

    def checked(info: AddrInfoType) -> socket.socket:
        # Checked here, on the very address that is connected to next: a name could resolve differently a second time.
        family, kind, protocol, _, address = info
        guard.check_address(str(address[0]))
        return socket.socket(family, kind, protocol)

    return Connector(
        # No limit here: the client's turns count the connections of both sessions together.
        limit=0,
        keepalive_timeout=KEEPALIVE,
        ttl_dns_cache=DNS_TTL,
        resolver=Resolver(guard, trusted=trusted),
        socket_factory=None if trusted else checked,
    )
