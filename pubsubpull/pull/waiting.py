"""Calls that wait for changes: one thread of a process polls the log for all of them, on one connection.

A waiting call holds no connection, and under asyncio no thread. Equal questions are read once for all.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from django.db import connections

from pubsubpull import conf, exceptions
from pubsubpull.capture import sql
from pubsubpull.log import feed
from pubsubpull.pull import consumers, problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pubsubpull.log.cursor import Cursor
    from pubsubpull.log.feed import Page
    from pubsubpull.log.present import Present
    from pubsubpull.pull.models import Consumer

POLL_PAUSES = (0.0005, 0.25)
"""Seconds between two polls of the log, at the least and at the most."""
POLL_SHARE = 0.02
"""The pause before the next poll, as a part of the time waited so far: after 1 s, a poll each 0.02 s."""
ASK = 0.5
"""Seconds between two checks of the waiting calls' tokens and grants."""
LINGER = 1.0
"""Seconds for which the thread stays when no call waits."""

logger = logging.getLogger("pubsubpull")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """The question of a waiting call: the first page with changes after its cursor."""

    after: Cursor
    models: tuple[str, ...]
    limit: int
    old: bool
    compact: bool


@dataclasses.dataclass(eq=False, kw_only=True)
class Waiter:
    """A waiting call. Times are those of the monotonic clock, in seconds."""

    question: Question
    consumer: int
    """The primary key of the consumer."""
    token_hash: str
    """The hash of the call's token."""
    due: float
    """The time at which the call ends without changes."""
    wake: Callable[[], object]
    """Called once, when there is a result."""
    began: float = dataclasses.field(default_factory=time.monotonic)
    """The time at which the call began to wait."""
    result: Page | Exception | None = None
    """The page, or the error that ends the call."""


class Watcher:
    """Polls the log of one database for all waiting calls of this process."""

    def __init__(self, using: str) -> None:
        self.using = using
        self._waiters: set[Waiter] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._asked = 0.0
        self._pid = os.getpid()

    def add(self, waiter: Waiter, *, most: int) -> None:
        """Add a call that waits. Raises a problem if `most` of the consumer's calls wait already."""
        with self._changed:
            # The process was forked: neither the waiting calls nor the thread have come along.
            if self._pid != os.getpid():
                self._pid, self._waiters, self._thread = os.getpid(), set(), None
            if sum(one.consumer == waiter.consumer for one in self._waiters) >= most:
                raise problems.Problem(
                    status=429,
                    type="too-many-waits",
                    title="Too many calls that wait",
                    detail=f"A consumer may have {most} calls that wait at a time in a process of the service.",
                    headers={"Retry-After": "1"},
                )
            # Counted and added under one lock, so that two calls at once cannot exceed the limit.
            self._waiters.add(waiter)
            if self._thread is None or not self._thread.is_alive():
                # A daemon: a process that ends does not wait for calls that wait.
                self._thread = threading.Thread(target=self._watch, name="pubsubpull waits", daemon=True)
                self._thread.start()
            self._changed.notify()

    def remove(self, waiter: Waiter) -> None:
        """Remove a call that does not wait any more."""
        with self._changed:
            self._waiters.discard(waiter)

    def count(self) -> int:
        """Return the number of waiting calls."""
        return len(self._waiters)

    def close(self) -> None:
        """End the thread and its connection. Calls that still wait get an empty page."""
        with self._changed:
            for waiter in self._waiters:
                waiter.due = 0.0
            thread, self._thread = self._thread, None
            self._changed.notify()
        if thread is not None:
            thread.join(10)

    def _watch(self) -> None:
        try:
            # The list is a copy: calls come and go while the log is read, which may take long.
            while waiting := self._all():
                self._turn(waiting)
                with self._changed:
                    self._changed.wait(_pause(self._waiters))
        finally:
            # The connection is this thread's own: nothing else would close it.
            connections[self.using].close()

    def _all(self) -> list[Waiter]:
        """Return all waiting calls. If there are none, wait a while for the next; return none if none comes."""
        mine = threading.current_thread()
        with self._changed:
            self._changed.wait_for(lambda: self._waiters or self._thread is not mine, LINGER)
            # Decided under the lock that `add` takes: no call is added to a thread that is about to end.
            if not self._waiters and self._thread is mine:
                self._thread = None
            return list(self._waiters)

    def _turn(self, waiting: list[Waiter]) -> None:
        """Poll once; wake each call that has a result, or that is due."""
        try:
            answers = self._read(waiting)
            if answers or time.monotonic() - self._asked > ASK:
                # Also before each answer: a token removed a moment ago must not be given a page.
                self._asked = time.monotonic()
                answers |= self._refused(waiting)
        # Swallowed here: each call raises it to its own caller, and the thread serves the next ones.
        except Exception as error:  # noqa: BLE001  each call tells its own caller
            connections[self.using].close()
            answers = dict.fromkeys(waiting, error)
        now = time.monotonic()
        for waiter in waiting:
            result = answers.get(waiter)
            if result is None and waiter.due <= now:
                result = feed.Page(items=b"", count=0, cursor=waiter.question.after, more=False)
            if result is not None:
                self.remove(waiter)
                # The result stands before the call wakes, and the call is removed before that: it is woken once.
                waiter.result = result
                waiter.wake()

    def _read(self, waiting: list[Waiter]) -> dict[Waiter, Page | Exception]:
        """Read a page for each call, equal questions once. After an empty page, a call goes on from its cursor."""
        asked: dict[Question, list[Waiter]] = {}
        for waiter in waiting:
            asked.setdefault(waiter.question, []).append(waiter)
        answers: dict[Waiter, Page | Exception] = {}
        now: Present | None = None
        for question, those in asked.items():
            # One present serves all questions of this turn: each page is of the same moment.
            now, result = self._page(question, now)
            if isinstance(result, Exception) or result.count:
                answers |= dict.fromkeys(those, result)
                continue
            for waiter in those:
                waiter.question = dataclasses.replace(question, after=result.cursor)
        return answers

    def _page(self, question: Question, now: Present | None) -> tuple[Present | None, Page | Exception]:
        """Return the page after a question's cursor, and the present, which is read with it unless it is given."""
        wanted: dict[str, Any] = {"models": question.models, "limit": question.limit, "using": self.using}
        wanted |= {"old": question.old, "compact": question.compact}
        try:
            if now is None:
                now, polled = feed.poll(question.after, **wanted)
                if polled is not None:
                    return now, polled
            return now, feed.page(question.after, now=now, **wanted)
        except exceptions.CursorExpired as error:
            return now, error

    def _refused(self, waiting: list[Waiter]) -> dict[Waiter, Page | Exception]:
        """Check each call's token and grants again; return the errors of refused calls, as a new call gets them."""
        grants = sql.run_bound(
            self.using, sql.template("queries/consumers/granted"), ids=sorted({one.consumer for one in waiting})
        )
        may = {(pk, token_hash): json.loads(granted) for pk, token_hash, granted in grants}
        refused: dict[Waiter, Page | Exception] = {}
        for waiter in waiting:
            granted = may.get((waiter.consumer, waiter.token_hash))
            if granted is None:
                refused[waiter] = problems.unauthorized()
            elif lost := [label for label in waiter.question.models if not consumers.permits(granted, label)]:
                refused[waiter] = problems.not_found(f"{min(lost)!r} is not a model that you may read.", "models")
        return refused


def _pause(waiting: Iterable[Waiter]) -> float:
    """Return the seconds until the next poll: few after a short wait, 0 if a call is due."""
    now = time.monotonic()
    least, most = POLL_PAUSES
    times = [min(max(least, (now - call.began) * POLL_SHARE), most, call.due - now) for call in waiting]
    return max(min(times, default=LINGER), 0.0)


_watchers: dict[str, Watcher] = {}
_lock = threading.Lock()


def watcher(using: str) -> Watcher:
    """Return this process's watcher of a database."""
    with _lock:
        return _watchers.setdefault(using, Watcher(using))


def close() -> None:
    """End all watchers, as before a test's database is dropped."""
    for each in list(_watchers.values()):
        each.close()


def begin(question: Question, consumer: Consumer, *, seconds: float, wake: Callable[[], object]) -> Waiter:
    """Begin to wait for a consumer. Raises a problem if too many of its calls wait already."""
    settings = conf.get()
    waiter = Waiter(
        question=question,
        consumer=consumer.pk,
        token_hash=consumer.token_hash,
        due=time.monotonic() + seconds,
        wake=wake,
    )
    watcher(settings.DATABASE).add(waiter, most=settings.WAITS)
    return waiter
