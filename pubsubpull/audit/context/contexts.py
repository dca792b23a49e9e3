"""The context of a change: the request, command or job that makes it. A ContextVar holds the current one."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import json
import os
import pathlib
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from pubsubpull.audit.context import json_data, tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pubsubpull.audit.context.actors import Actor

SERVING = {"runserver", "test", "testserver", "pubsubpull_deliver"}
"""Management commands that run the work of others, such as requests. They are no context themselves."""


class RequestRow(NamedTuple):
    """A row of the requests' table that gets the status and the duration when the request ends."""

    alias: str
    """The alias of the row's database."""
    id: uuid.UUID
    """The id of the request, or of a context within it."""
    started: float
    """The start of that request or context, by `time.monotonic()`."""


def _no_actor() -> Actor | None:
    return None


@dataclasses.dataclass(kw_only=True, eq=False)
class Context:
    """A request, command or job that makes changes."""

    id: uuid.UUID
    """The id of the row that the first change writes."""
    source: str
    """The kind of context, such as `http`, `command` or `task`."""
    started: float
    """The start, by `time.monotonic()`."""
    attributes: dict[str, Any]
    """The attributes of an HTTP request that are known at its start, as clean JSON data."""
    metadata: dict[str, Any]
    """The metadata of the application, as clean JSON data."""
    actor: Callable[[], Actor | None] = _no_actor
    """Returns the user behind the changes. Called for the first change. It may query a database."""
    known_actor: Callable[[], Actor | None] = _no_actor
    """Returns the user if it has been read already. It never queries a database."""
    late_attributes: Callable[[], dict[str, Any]] = dict
    """Returns attributes that are known only after the start, such as the route. Called for the first change."""
    revision: int = 0
    """The number of calls of `annotate()`. Each one has the transaction announce the context again."""
    written: set[str] = dataclasses.field(default_factory=set)
    """The aliases of the databases that have written a row of this context."""
    rows: set[RequestRow] | None = None
    """The rows of a request and of the contexts within it; None outside of requests."""

    def was_written(self, alias: str) -> None:
        """Record that a database has written a row of this context."""
        self.written.add(alias)
        if self.rows is not None:
            self.rows.add(RequestRow(alias, self.id, self.started))

    def setting(self, actor: Actor | None) -> str:
        """Return the text that the triggers read: the id's 36 characters, and the rest as JSON."""
        user = {"user_id": actor.id, "user_name": actor.name} if actor else {}
        data = {
            **self.attributes,
            **tracing.active(),
            **json_data.clean({"source": self.source, **self.late_attributes(), **user}),
            "elapsed": time.monotonic() - self.started,
            "metadata": self.metadata,
        }
        # json.dumps escapes all but ASCII, which is the same in every encoding of the session and the database.
        return f"{self.id}{json.dumps(data)}"


_current: contextvars.ContextVar[Context | None] = contextvars.ContextVar("pubsubpull", default=None)


def uuid7(now_ms: int | None = None, random: bytes | None = None) -> uuid.UUID:
    """Return a UUID that sorts by time (RFC 9562, version 7): 48 bits of milliseconds, then 74 random bits.

    `now_ms` and `random` (10 bytes) are for tests.
    """
    milliseconds = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    data = bytearray(milliseconds.to_bytes(6, "big") + (os.urandom(10) if random is None else random))
    data[6] = data[6] & 0x0F | 0x70
    data[8] = data[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(data))


def enter(context: Context) -> contextvars.Token[Context | None]:
    """Make a context the current one, until its token is passed to `leave`."""
    return _current.set(context)


def leave(token: contextvars.Token[Context | None]) -> None:
    """Return to the previous context. Raises `ValueError` in another thread or task than that of `enter`."""
    _current.reset(token)


@contextlib.contextmanager
def entered(context: Context) -> Iterator[None]:
    """Make a context the current one of this thread or task for the duration of the block."""
    token = enter(context)
    try:
        yield
    finally:
        leave(token)


def current() -> Context | None:
    """Return the current context. In a management command without one it is the command's own; elsewhere None."""
    return _current.get() or _command(tuple(sys.argv))


_commands: dict[tuple[str, ...], Context | None] = {}
"""The context of this process by its arguments: one command is one context, however often it is asked for."""


def _command(argv: tuple[str, ...]) -> Context | None:
    """Return the context of this process's management command; None if it runs none, or one of SERVING."""
    if argv not in _commands:
        _commands[argv] = _command_context(argv)
    return _commands[argv]


def _command_context(argv: tuple[str, ...]) -> Context | None:
    program = pathlib.PurePath(argv[0] if argv else "")
    is_django = program.stem in {"manage", "django-admin"} or program.parts[-2:] == ("django", "__main__.py")
    if not is_django or len(argv) < 2 or argv[1] in SERVING or argv[1].startswith("-"):
        return None
    return Context(
        id=uuid7(),
        source="command",
        started=time.monotonic(),
        attributes={},
        metadata={"command": argv[1]},
    )
