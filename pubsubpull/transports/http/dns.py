"""Name lookups in threads, since the operating system's resolver blocks.

A name without an answer may block for half a minute. The threads are daemons: a process ends without waiting for them.
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
"""How many lookups at a time a process makes to check callbacks."""
NEW = 48
"""How many lookups at a time a worker makes of names that it has not resolved before."""
KNOWN = 16
"""How many lookups at a time a worker makes of names that it has resolved before.

They have a limit of their own, so that many names without an answer keep no working name waiting.
"""
NAMES_REMEMBERED = 10_000
"""How many resolved names are remembered; then all are forgotten."""


def within(resolve: Resolve, host: str, *, limit: float) -> list[str]:
    """Return a name's addresses; none if the lookup fails or takes longer than `limit` seconds."""
    # No refusal: each connection is checked anyway.
    if not AT_REGISTRATION.acquire(timeout=limit):
        return []
    answer: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

    def work() -> None:
        addresses: list[str] = []
        try:
            with contextlib.suppress(OSError, UnicodeError):  # a name without addresses is no error here
                addresses = resolve(host, 0)
        finally:
            # By the thread, not by the caller: a lookup that the caller gave up on still occupies its thread.
            AT_REGISTRATION.release()
            answer.put(addresses)

    _thread(work)
    try:
        return answer.get(timeout=limit)
    except queue.Empty:
        return []


class Lookups:
    """The lookups of a worker, as a function of a host and a port. Errors of `resolve` pass through."""

    def __init__(self, resolve: Resolve, *, remembered: int = NAMES_REMEMBERED) -> None:
        self._resolve = resolve
        self._remembered = remembered
        self._known: set[str] = set()
        self._room = {True: asyncio.Semaphore(KNOWN), False: asyncio.Semaphore(NEW)}

    async def __call__(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host."""
        room = self._room[host in self._known]
        await room.acquire()
        answer: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        _thread(functools.partial(self._work, host, port, room, answer))
        try:
            addresses = await answer
        # BaseException: a cancelled wait shows a name that resolves slowly, too.
        except BaseException:
            self._known.discard(host)
            raise
        if len(self._known) > self._remembered:
            self._known.clear()
        self._known.add(host)
        return addresses

    def _work(self, host: str, port: int, room: asyncio.Semaphore, answer: asyncio.Future[list[str]]) -> None:
        result: list[str] | Exception
        try:
            result = self._resolve(host, port)
        except Exception as error:  # noqa: BLE001  the waiting task raises it
            result = error
        with contextlib.suppress(RuntimeError):  # the loop may have ended
            answer.get_loop().call_soon_threadsafe(_done, room, answer, result)


def _done(room: asyncio.Semaphore, answer: asyncio.Future[list[str]], result: list[str] | Exception) -> None:
    # Here, not where a task gave up waiting: until now the lookup has occupied its thread.
    room.release()
    if answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def _thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="pubsubpull-lookup", daemon=True).start()
