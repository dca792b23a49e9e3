"""Calls that are held until there is something to answer: by a thread under WSGI, by a future alone under ASGI."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import os
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from asgiref.sync import SyncToAsync, sync_to_async
from django.db import connections, transaction
from django.http import HttpResponse
from django.urls import URLPattern

from pubsubpull import conf
from pubsubpull.pull import waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.urls import ResolverMatch

    from pubsubpull.log.feed import Page
    from pubsubpull.pull.models import Consumer
    from pubsubpull.pull.waiting import Question, Waiter

THREADS = 2
"""The threads of a process under asyncio that read pages, each with a connection."""
CONNECTION_KEPT = 0.05
"""Seconds after which a waiting call gives its connection back. A call that is answered sooner keeps it."""
GONE = 0.5
"""Seconds between two checks that a caller is still connected."""


class Held(HttpResponse):
    """A placeholder for a later answer, which `answer` makes of the page that was waited for."""

    def __init__(
        self, question: Question, consumer: Consumer, *, seconds: float, answer: Callable[[Page], HttpResponse]
    ) -> None:
        super().__init__(status=204)
        self.question = question
        self.consumer = consumer
        self.until = time.monotonic() + seconds
        self.answer = answer

    def begin(self, wake: Callable[[], object]) -> Waiter:
        """Begin to wait. Raises a problem if too many of the consumer's calls wait already."""
        return waiting.begin(self.question, self.consumer, seconds=self.until - time.monotonic(), wake=wake)

    def ended(self, waiter: Waiter) -> HttpResponse:
        """Return the answer, or 204 if the caller has disconnected. Raises the error that ended the wait."""
        if isinstance(waiter.result, Exception):
            raise waiter.result
        return self.answer(waiter.result) if waiter.result else HttpResponse(status=204)


def held(view: Callable[..., HttpResponse], errors: Callable[[HttpRequest, Exception], HttpResponse]) -> Any:
    """Wrap a view that may answer with `Held`, for WSGI; its attribute `awaited` is the view for ASGI.

    `errors` turns an error into an answer, as the API does.
    """

    # ATOMIC_REQUESTS would keep a transaction, and so a connection, open for as long as the call waits.
    @transaction.non_atomic_requests
    @functools.wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        if not isinstance(response, Held):
            return response
        return _guarded(functools.partial(_wait, response, request), request)

    @transaction.non_atomic_requests
    async def awaited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = await _in_thread(view, request, *args, **kwargs)
        if not isinstance(response, Held):
            return response
        # Only now: the view itself needed the thread.
        await _without_thread()
        try:
            return await _await(response)
        except Exception as error:  # noqa: BLE001  the API knows what each is answered with
            return errors(request, error)

    def _guarded(act: Callable[[], HttpResponse], request: HttpRequest) -> HttpResponse:
        try:
            return act()
        except Exception as error:  # noqa: BLE001  as above
            return errors(request, error)

    wrapped.csrf_exempt = awaited.csrf_exempt = getattr(view, "csrf_exempt", False)  # type: ignore[attr-defined]
    wrapped.awaited = awaited  # type: ignore[attr-defined]
    return wrapped


class HeldPattern(URLPattern):
    """A pattern that gives the awaited view if an event loop runs, so that Django under ASGI uses no thread for it."""

    def resolve(self, path: str) -> ResolverMatch | None:
        """Return the match, with the view for ASGI within a running loop."""
        match = super().resolve(path)
        if match is not None:
            # RuntimeError: there is no loop, so that this runs under WSGI.
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop()
                match.func = self.callback.awaited  # type: ignore[attr-defined]
        return match


def _wait(response: Held, request: HttpRequest) -> HttpResponse:
    """Return the answer as soon as there is one. The thread waits without a connection of the database."""
    come = threading.Event()
    waiter = response.begin(come.set)
    try:
        # A busy feed answers within this time, and would otherwise connect anew for each page.
        if not come.wait(CONNECTION_KEPT):
            connections[conf.get().DATABASE].close()
            while not come.wait(GONE):
                if _has_gone(request):
                    break
    finally:
        # Also after an error: a waiter that stays counts against the consumer's limit.
        waiting.watcher(conf.get().DATABASE).remove(waiter)
    return response.ended(waiter)


def _has_gone(request: HttpRequest) -> bool:
    """True if the caller has closed the connection, as far as the server shows it."""
    connection = getattr(request, "environ", {}).get("gunicorn.socket")
    if not isinstance(connection, socket.socket) or connection.fileno() < 0:
        return False
    try:
        readable, _, _ = select.select([connection], [], [], 0)
        # A peek leaves the byte of a pipelined request where it is; an empty one is the end of the connection.
        return bool(readable) and connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


async def _await(response: Held) -> HttpResponse:
    """Return the answer as soon as there is one. Neither a thread nor a connection is held meanwhile."""
    loop = asyncio.get_running_loop()
    come = asyncio.Event()
    waiter = response.begin(lambda: _call(loop, come.set))
    try:
        await come.wait()
    finally:
        # Django cancels this task when the caller disconnects.
        waiting.watcher(conf.get().DATABASE).remove(waiter)
    return response.ended(waiter)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    # RuntimeError: the loop has ended, and all its calls with it. An error here would end the thread of all others.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function)


@functools.cache
def _threads(pid: int) -> concurrent.futures.ThreadPoolExecutor:
    """Return the threads of the process `pid`."""
    # By process: threads do not come along with a fork.
    del pid
    return concurrent.futures.ThreadPoolExecutor(THREADS, thread_name_prefix="pubsubpull reads")


async def _in_thread(view: Callable[..., HttpResponse], *args: Any, **kwargs: Any) -> HttpResponse:
    """Call a view in one of `THREADS` threads, so that any number of calls hold few connections."""
    context = contextvars.copy_context()

    def call() -> HttpResponse:
        try:
            return view(*args, **kwargs)
        finally:
            # Connections belong to a context: no later call would find these again.
            connections.close_all()

    return await asyncio.get_running_loop().run_in_executor(_threads(os.getpid()), context.run, call)


async def _without_thread() -> None:
    """End the thread that Django keeps for a request if a middleware is synchronous."""
    # Without this, each waiting call would hold a thread, and perhaps its connection, until it is answered.
    context = SyncToAsync.thread_sensitive_context.get(None)
    executor: Any = SyncToAsync.context_to_thread_executor
    if context is not None and context in executor:
        await sync_to_async(connections.close_all, thread_sensitive=True)()
        # Not waited for: this runs in the event loop, and the thread has nothing left to do.
        executor.pop(context).shutdown(wait=False)
