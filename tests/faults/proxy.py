"""A TCP proxy that cuts, corrupts, delays and refuses connections on demand."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import random
import socket
import struct
import threading


class Proxy:
    """Passes connections on to a port of this machine. `mood` is its present treatment of them.

    `cutting` ends connections after so many bytes, in either direction; `corrupting` changes a byte of the sent data;
    `stalling` lets nothing through; `away` refuses connections. `moods` counts what was done.
    """

    def __init__(self, target, seed):
        self.target = target
        self.mood = "well"
        self.moods = collections.Counter()
        self.port = None
        self._chance = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop)
        self._server = server.result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_):
        async def end():
            self._server.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self, reader, writer):
        with contextlib.suppress(OSError, asyncio.CancelledError):
            if self.mood == "away":
                self._reset(writer)
                return
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.target)
            passing = [
                asyncio.ensure_future(self._pass(reader, to_writer, writer)),
                asyncio.ensure_future(self._pass(to_reader, writer, to_writer)),
            ]
            try:
                await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in passing:
                    one.cancel()
                await asyncio.gather(*passing, return_exceptions=True)
                to_writer.close()
        writer.close()

    async def _pass(self, reader, writer, back):
        with contextlib.suppress(OSError):
            while data := await reader.read(16384):
                if self.mood == "away":
                    self._reset(writer)
                    self._reset(back)
                    return
                if self.mood == "cutting" and self._chance.random() < 0.2:
                    self.moods["cut"] += 1
                    writer.write(data[: self._chance.randrange(len(data))])
                    with contextlib.suppress(OSError):
                        await writer.drain()
                    return
                if self.mood == "corrupting" and self._chance.random() < 0.3:
                    data = self._corrupted(data)
                while self.mood == "stalling":  # noqa: ASYNC110  another thread ends it
                    await asyncio.sleep(0.02)
                writer.write(data)
                await writer.drain()

    def _corrupted(self, data):
        """Change a single byte, but not in an answer: a sender would rightly believe a 2xx made of a 5xx."""
        if data.startswith(b"HTTP/"):
            return data
        self.moods["corrupted"] += 1
        at = self._chance.randrange(len(data))
        return data[:at] + bytes([data[at] ^ (1 << self._chance.randrange(8))]) + data[at + 1 :]

    def _reset(self, writer):
        """Reset a connection, like a host without a listener."""
        self.moods["refused"] += 1
        with contextlib.suppress(OSError, AttributeError):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
