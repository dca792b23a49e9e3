"""The receiver of all notifications: takes a body, counts the changes in it, answers 204.

GET /state returns the counts so far, DELETE /state resets them. Bodies PUT below /kept/ are kept, with the time, for
GET /kept. A PUT below /hang/ gets no answer.
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import time
from collections import Counter
from typing import Any

from aiohttp import web

HANG = 3600.0
"""How long who puts something below /hang/ waits for its answer, in seconds."""
MARK = re.compile(rb'"version": ?(\d+)')


class Receiver:
    """The received changes. `disorder` counts changes that arrived after a later change of the same address."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.count = self.requests = self.first_count = self.disorder = 0
        self.first = self.last = 0.0
        self.latest: Counter[str] = Counter()
        self.kept: list[tuple[float, list[int]]] = []

    async def put(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.path.startswith("/hang/"):
            await asyncio.sleep(HANG)
        now = time.time()
        versions = list(map(int, MARK.findall(body)))
        self.count += len(versions)
        self.requests += 1
        self.last = now
        if not self.first:
            self.first, self.first_count = now, len(versions)
        self._check(request.path, versions)
        if request.path.startswith("/kept/"):
            self.kept.append((now, versions))
        return web.Response(status=204)

    def _check(self, path: str, versions: list[int]) -> None:
        for version in versions:
            if version <= self.latest[path]:
                self.disorder += 1
            self.latest[path] = version

    async def state(self, _request: web.Request) -> web.Response:
        names = ("count", "requests", "first", "last", "first_count", "disorder")
        return web.json_response({name: getattr(self, name) for name in names})

    async def reset(self, request: web.Request) -> web.Response:
        self.forget()
        return await self.state(request)

    async def show_kept(self, _request: web.Request) -> web.Response:
        return web.json_response(self.kept)


def main() -> None:
    """Serve on the socket whose number is the argument."""
    receiver = Receiver()
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_get("/state", receiver.state)
    application.router.add_delete("/state", receiver.reset)
    application.router.add_get("/kept", receiver.show_kept)
    application.router.add_put("/{name:.*}", receiver.put)
    listener = socket.socket(fileno=int(sys.argv[1]))
    options: dict[str, Any] = {"access_log": None, "print": None, "handle_signals": True}
    try:
        import uvloop
    except ImportError:
        pass
    else:
        options["loop"] = uvloop.new_event_loop()
    web.run_app(application, sock=listener, **options)


if __name__ == "__main__":
    main()
