"""Looking names up: in threads, as the operating system knows no other way.

A name that nobody answers for may take it half a minute. The threads end with the process, which waits for none.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Resolve = Callable[[str, int], list[str]]

AT_REGISTRATION = threading.BoundedSemaphore(8)
"""How many names a process looks up at a time for who registers them."""
NEW = 48
"""How many names a worker looks up at a time that have not been found before."""
KNOWN = 16
"""How many of those that have: who registers many names that nobody answers for keeps none of these waiting."""
REMEMBERED = 10_000
"""How many names are known as found before."""


def within(resolve: Resolve, host: str, *, limit: float) -> list[str]:
    """Return a name's addresses; none where it has none, or they do not come in so many seconds."""
    if not AT_REGISTRATION.acquire(timeout=limit):
        return []
    answer: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

    def work() -> None:
        found: list[str] = []
        try:
            with contextlib.suppress(OSError, UnicodeError):
                found = resolve(host, 0)
        finally:
            AT_REGISTRATION.release()
            answer.put(found)

    _thread(work)
    try:
        return answer.get(timeout=limit)
    except queue.Empty:
        return []


class Lookups:
    """A worker's. Call it with a host and a port; it raises what `resolve` raises."""

    def __init__(self, resolve: Resolve, *, remembered: int = REMEMBERED) -> None:
        self._resolve = resolve
        self._remembered = remembered
        self._known: set[str] = set()
        self._room = {True: asyncio.Semaphore(KNOWN), False: asyncio.Semaphore(NEW)}

    async def __call__(self, host: str, port: int) -> list[str]:
        """Return the name's addresses."""
        room = self._room[host in self._known]
        await room.acquire()
        answer: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        _thread(functools.partial(self._work, host, port, room, answer))
        try:
            found = await answer
        except BaseException:
            self._known.discard(host)
            raise
        if len(self._known) > self._remembered:
            self._known.clear()
        self._known.add(host)
        return found

    def _work(self, host: str, port: int, room: asyncio.Semaphore, answer: asyncio.Future[list[str]]) -> None:
        found: list[str] | Exception
        try:
            found = self._resolve(host, port)
        except Exception as error:  # noqa: BLE001  it is raised where it is waited for
            found = error
        with contextlib.suppress(RuntimeError):  # the loop may have ended
            answer.get_loop().call_soon_threadsafe(_done, room, answer, found)


def _done(room: asyncio.Semaphore, answer: asyncio.Future[list[str]], found: list[str] | Exception) -> None:
    # Only now, not where the wait was given up: the thread was still there.
    room.release()
    if answer.done():
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)


def _thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="pubsubpull-lookup", daemon=True).start()
