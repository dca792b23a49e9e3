"""Tools of asyncio workers: a thread for the database, waits that end early, and signals."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import signal
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import Error as DatabaseError
from django.db import connections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


class Database:
    """Runs functions that query a database in one thread of their own, with a connection of its own."""

    def __init__(self, using: str, name: str) -> None:
        """Create the thread, named `pubsubpull-{name}`, for the database alias `using`."""
        self._using = using
        # One thread: Django's connections belong to a thread, and so each call finds the same one.
        self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix=f"pubsubpull-{name}")

    async def __call__(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Return the result of the function. After a database error the next call has a new connection."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._call, function, arguments, named)

    def _call(self, function: Callable[..., T], arguments: tuple[Any, ...], named: dict[str, Any]) -> T:
        try:
            return function(*arguments, **named)
        except DatabaseError:
            # The connection may be broken, or in a failed transaction: the next call opens a new one.
            connections[self._using].close()
            raise

    def _disconnect(self) -> None:
        connections[self._using].close()

    async def close(self) -> None:
        """Close the connection and end the thread."""
        # In the thread itself: the connection is one of its thread-local ones.
        await self(self._disconnect)
        self._thread.shutdown()


async def set_within(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, for `seconds` at most."""
    # Not `asyncio.wait_for`: before Python 3.12 it may lose a cancellation that comes together with the event.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def first_line(error: Exception) -> str:
    """Return the first line of an error's message; its class name if the message is empty."""
    return str(error).strip().split("\n", 1)[0] or type(error).__name__


@contextlib.contextmanager
def signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at SIGTERM and SIGINT within the block; restore the previous handlers after it."""
    loop = asyncio.get_running_loop()
    before = {}
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            # asyncio refuses a handler outside of the main thread, and on Windows. Then the process stops as usual.
            with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
                previous = signal.getsignal(number)
                loop.add_signal_handler(number, stop)
                before[number] = previous
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
