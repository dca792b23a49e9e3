"""What a worker stands on: threads for the database, waits that can be cut short, and signals."""

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
    """Runs functions of the database in a thread of its own, which has a connection of its own."""

    def __init__(self, using: str, name: str) -> None:
        self._using = using
        self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix=f"pubsubpull-{name}")

    async def __call__(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Run it. After an error the next call has a new connection."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._call, function, arguments, named)

    def _call(self, function: Callable[..., T], arguments: tuple[Any, ...], named: dict[str, Any]) -> T:
        try:
            return function(*arguments, **named)
        except DatabaseError:
            connections[self._using].close()
            raise

    def _disconnect(self) -> None:
        connections[self._using].close()

    async def close(self) -> None:
        """Close the connection and end the thread."""
        await self(self._disconnect)
        self._thread.shutdown()


async def set_within(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, but not longer.

    Not by `wait_for`: before Python 3.12 that may lose a cancellation that comes together with the event.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def first_line(error: Exception) -> str:
    """Return the first line of what an error says."""
    return str(error).strip().split("\n", 1)[0] or type(error).__name__


@contextlib.contextmanager
def signals(stop: Callable[[], None]) -> Iterator[None]:
    """Stop at SIGTERM and SIGINT; afterwards the handlers are those of before."""
    loop = asyncio.get_running_loop()
    before = {}
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(
                ValueError, RuntimeError, NotImplementedError
            ):  # not in the main thread, or on Windows
                previous = signal.getsignal(number)
                loop.add_signal_handler(number, stop)
                before[number] = previous
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
