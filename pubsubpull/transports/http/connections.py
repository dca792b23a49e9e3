"""Connections that the guard has seen: each address is checked as its socket is made, whoever looked it up."""

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
"""How long an answer is used for new connections, in seconds."""
KEEPALIVE = 60
"""How long an unused connection is kept, in seconds."""

HEAD_LIMIT = 64 * 1024
"""How long the head of an answer may be, with the interim ones before it, in bytes."""
LIMIT = 1024 * 1024
"""How much may come for an answer, in bytes: its head, and the body with what chunks add to it."""
HEAD_END = re.compile(rb"\n\r?\n")
BODILESS = {b"204", b"304"}
FRAMED = re.compile(rb"\n(content-length:[ \t]*0*[1-9]|transfer-encoding:)", re.IGNORECASE)
"""What announces a body."""


class Resolver(AbstractResolver):
    """Looks names up by the guard's `resolve`, and gives what is not refused; all of it for hosts that are trusted."""

    def __init__(self, guard: Guard, *, trusted: bool) -> None:
        self._guard = guard
        self._trusted = trusted
        self._lookups = Lookups(guard.resolve)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses that may be connected to; raises `Refused` where there is none."""
        found = await self._lookups(host, port)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=_family(address),
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in (found if self._trusted else self._guard.allowed(found))
            if family in {socket.AF_UNSPEC, _family(address)}
        ]

    async def close(self) -> None:
        """Nothing is kept."""


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Answers(ResponseHandler):
    """The answers on one connection. Bounds what comes for each, and bears with bodies where there must be none.

    Some receivers send a body with a 204, which aiohttp takes for the beginning of the next answer. Here it costs the
    connection, not the notification: neither this one nor the next.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._head = bytearray()
        self._head_size = self._size = 0
        self._in_head = False
        self._bodiless = False
        self._used = False
        self._again = False

    def set_response_params(self, **given: Any) -> None:
        """Expect the next answer."""
        self._head.clear()
        self._head_size = self._size = 0
        self._again, self._used = self._used, True
        self._in_head, self._bodiless = True, False
        super().set_response_params(**given)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
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
        """Close; at once where the other side does not read, who could otherwise have it stay open for ever."""
        if self.transport is not None and self.transport.get_write_buffer_size():
            self.abort()
        else:
            super().close()

    def _take_head(self, data: bytes) -> bytes:
        """Take data until the head's end; return the rest."""
        if self._again and not self._head and not data.startswith(b"HTTP/"[: len(data)]):
            # It belongs to the answer before. aiohttp sends again, on another connection.
            self._fail(ServerDisconnectedError("what came is no answer"))
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
        """Add to a head that comes in pieces; return how much of the data is the head's."""
        self._head += data
        end = HEAD_END.search(self._head, max(before - 2, 0))
        if end is None:
            return len(data)
        self._judge(bytes(self._head), end.end())
        self._head.clear()
        return end.end() - before

    def _judge(self, head: bytes, end: int) -> None:
        """Say what follows a head that is whole."""
        status = head[9:12]
        self._in_head = status[:1] == b"1" and status != b"101"
        self._bodiless = status in BODILESS
        if self._bodiless and FRAMED.search(head, 0, end):
            self.force_close()

    def _fail(self, error: Exception) -> None:
        self.set_exception(error)
        if self._payload is not None:
            self._payload.set_exception(error)
        self.force_close()
        if self.transport is not None:
            self.transport.abort()


class Connector(aiohttp.TCPConnector):
    """aiohttp's, whose connections speak `Answers`."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        # aiohttp has no public way to this; where the name should change, the tests of answers without a body fail.
        self._factory = functools.partial(Answers, loop=self._loop)  # type: ignore[assignment]


def connector(guard: Guard, *, trusted: bool) -> aiohttp.TCPConnector:
    """Return what makes connections: to all addresses for hosts that are trusted, else to those not refused."""

    def checked(info: AddrInfoType) -> socket.socket:
        # The very address that is connected to next: nothing is looked up between here and there.
        family, kind, protocol, _, address = info
        guard.check_address(str(address[0]))
        return socket.socket(family, kind, protocol)

    return Connector(
        limit=0,
        keepalive_timeout=KEEPALIVE,
        ttl_dns_cache=DNS_TTL,
        resolver=Resolver(guard, trusted=trusted),
        socket_factory=None if trusted else checked,
    )
