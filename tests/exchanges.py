"""HTTP without a network: requests are recorded, and answered as a test says."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from typing import TYPE_CHECKING

from pubsubpull.capture import clock
from pubsubpull.transports.http.client import Response
from pubsubpull.transports.http.guard import Guard
from pubsubpull.transports.http.transport import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HttpRecorder", "Request", "Response"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """A request that would have been made."""

    url: str
    body: bytes
    headers: Mapping[str, str]


class HttpRecorder(HttpTransport):
    """The HTTP transport with a client that keeps the PUTs in `sent` and the OPTIONS in `asked`.

    `answer` is the answer to a PUT: a `Response`, or a function of a `Request` that returns one (it may be async)
    or raises; `consent` is the answer to OPTIONS.
    """

    connections = None

    def __init__(self, answer=Response(status=204)):  # noqa: B008  it is frozen
        super().__init__(client=lambda: self, guard=Guard(), origin="tests", now=clock.of().now)
        self.answer = answer
        self.consent = Response(status=200, headers={"webhook-allowed-origin": "*"})
        self.sent = []
        self.asked = []
        self.closed = False
        self._arrived = asyncio.Event()

    async def put(self, url, body, headers):
        sent = Request(url=url, body=body, headers=dict(headers))
        self.sent.append(sent)
        self._arrived.set()
        if isinstance(self.answer, Response):
            return self.answer
        answer = self.answer(sent)
        return await answer if inspect.isawaitable(answer) else answer

    async def options(self, url, headers):
        self.asked.append(Request(url=url, body=b"", headers=dict(headers)))
        return self.consent

    async def arrived(self, count, *, limit=10.0):
        async with asyncio.timeout(limit):
            while len(self.sent) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.sent

    async def close(self):
        self.closed = True
