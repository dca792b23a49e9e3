"""The context of a change: the request, command or job that is being worked on, in a ContextVar."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import functools
import inspect
import json
import logging
import os
import pathlib
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from pubsubpull import exceptions
from pubsubpull.audit.context import tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TEXT_LIMIT = 2000
"""Characters kept of a path, a user agent and the like."""

SERVING = {"runserver", "test", "testserver", "pubsubpull_deliver"}
"""Commands that do other people's work, and so are no context themselves."""

METADATA_LIMIT = 100_000
"""Characters of JSON that the metadata of one context may have: each transaction is told of them."""

METADATA_DEPTH = 32
"""How deep metadata may be nested."""

logger = logging.getLogger("pubsubpull")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Who:
    """A user, as text: what identifies it, and its name."""

    id: str
    name: str


class End(NamedTuple):
    """A row of a request that is to be told how the request ended."""

    alias: str
    id: uuid.UUID
    started: float


def _nobody() -> Who | None:
    return None


@dataclasses.dataclass(kw_only=True, eq=False)
class Context:
    """What makes changes."""

    id: uuid.UUID
    source: str
    started: float
    """By the clock that nobody sets."""
    given: dict[str, Any]
    """Clean JSON data."""
    metadata: dict[str, Any]
    """Clean JSON data."""
    who: Callable[[], Who | None] = _nobody
    """Tells who it is, when the first change is written; may ask the database."""
    known: Callable[[], Who | None] = _nobody
    """Tells who it is as far as that costs no query."""
    late: Callable[[], dict[str, Any]] = dict
    """Tells what else is known only when the first change is written, as the route."""
    revision: int = 0
    """How often the metadata has been added to."""
    written: set[str] = dataclasses.field(default_factory=set)
    """The aliases of the databases that have written a row of it."""
    ends: set[End] | None = None
    """All such rows, those of contexts within it too; None where nobody notes how it ends."""

    def was_written(self, alias: str) -> None:
        """Take down that a database has written a row of it."""
        self.written.add(alias)
        if self.ends is not None:
            self.ends.add(End(alias, self.id, self.started))

    def setting(self, who: Who | None) -> str:
        """Return what the trigger reads: the id's 36 characters, and the rest as JSON."""
        known = {"user_id": who.id, "user_name": who.name} if who else {}
        named = clean({"source": self.source, **self.late(), **known})
        data = {
            **self.given,
            **tracing.active(),
            **named,
            "elapsed": time.monotonic() - self.started,
            "metadata": self.metadata,
        }
        # Only ASCII goes over with whatever encoding the session and the database have.
        return f"{self.id}{json.dumps(data)}"


_current: contextvars.ContextVar[Context | None] = contextvars.ContextVar("pubsubpull", default=None)
_reading_user: contextvars.ContextVar[bool] = contextvars.ContextVar("pubsubpull.user", default=False)


def uuid7(now_ms: int | None = None, random: bytes | None = None) -> uuid.UUID:
    """Return a UUID that sorts by time (RFC 9562, version 7): 48 bits of milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    data = bytearray(milliseconds.to_bytes(6, "big") + (os.urandom(10) if random is None else random))
    data[6] = data[6] & 0x0F | 0x70
    data[8] = data[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(data))


def clean(value: Any, limit: int = TEXT_LIMIT) -> Any:
    """Return JSON data that PostgreSQL takes: without NUL characters and lone surrogates, and long texts cut."""
    if isinstance(value, str):
        return value[:limit].replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {clean(k): clean(v, limit) for k, v in value.items()}
    if isinstance(value, list):
        return [clean(v, limit) for v in value]
    return value


class Block(contextlib.ContextDecorator):
    """A block of code, or with `@` a function or coroutine function, whose changes belong to one context.

    As a decorator it opens a new context at each call.
    """

    def __init__(self, source: str | None, user: Any, metadata: dict[str, Any]) -> None:
        self._given = (source, user, metadata)
        self._token: contextvars.Token[Context | None] | None = None

    def _recreate_cm(self) -> Block:
        return Block(*self._given)

    def __call__(self, func: Any) -> Any:  # noqa: D102  as the class says
        if not inspect.iscoroutinefunction(func):
            return super().__call__(func)

        @functools.wraps(func)
        async def within(*args: Any, **kwargs: Any) -> Any:
            with self._recreate_cm():
                return await func(*args, **kwargs)

        return within

    def __enter__(self) -> Context:
        if self._token is not None:
            raise exceptions.ContextError("This context is open already: call pubsubpull.context() again for another.")
        made = within(*self._given)
        self._token = enter(made)
        return made

    def __exit__(self, *error: object) -> None:
        if self._token is not None:
            leave(self._token)
        self._token = None


class Unset:
    """What stands for an argument that is not given where None means something."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()


def context(source: str | None = None, user: Any = UNSET, **metadata: Any) -> Block:
    """Tie the changes made within to a job of your own; within a request or another context, tell more of that.

    What is not given is as in the context around; outside of any, `source` is "command" and the user nobody. `user` is
    a user object or a name, None for nobody; `metadata`, whatever JSON can hold, is added to that around. Other
    metadata raises `ContextError` when the block is entered. Also a decorator, of functions and of coroutine functions:
    `@pubsubpull.context(source="task")`.
    """
    return Block(source, user, metadata)


def job(source: str, user: Any, metadata: dict[str, Any]) -> Context:
    """Return a new context of a job that has nothing of the context around it."""
    known = as_who(user)
    return Context(
        id=uuid7(),
        source=source,
        started=time.monotonic(),
        given={},
        metadata=as_json(metadata),
        who=lambda: known,
        known=lambda: known,
    )


def within(source: str | None, user: Any, metadata: dict[str, Any]) -> Context:
    """Return a new context within the one at hand; `context()` says what it takes."""
    around = current()
    if around is None:
        return job(source or "command", None if user is UNSET else user, metadata)
    known = as_who(None if user is UNSET else user)
    asked = {} if user is UNSET else {"who": lambda: known, "known": lambda: known}
    return dataclasses.replace(
        around,
        id=uuid7(),
        source=source or around.source,
        started=time.monotonic(),
        metadata=as_json({**around.metadata, **metadata}),
        written=set(),
        **asked,  # type: ignore[arg-type]
    )


def enter(made: Context) -> contextvars.Token[Context | None]:
    """Make a context the current one, until `leave` is given the token."""
    return _current.set(made)


def leave(token: contextvars.Token[Context | None]) -> None:
    """Go back to the context before. Raises `ValueError` in another thread or task than `enter` was called in."""
    _current.reset(token)


@contextlib.contextmanager
def entered(made: Context) -> Iterator[None]:
    """Make a context the current one within the block, for this thread or task alone."""
    token = enter(made)
    try:
        yield
    finally:
        leave(token)


def current() -> Context | None:
    """Return the context at hand; in a management command there is always one."""
    return _current.get() or _command(tuple(sys.argv))


def reading_user() -> bool:
    """Say whether the user is being read right now: its queries are not to ask for it again."""
    return _reading_user.get()


def who(at_hand: Context) -> Who | None:
    """Return who is behind a context. A user that cannot be read is logged, and no reason for a write to fail."""
    token = _reading_user.set(True)
    try:
        return at_hand.who()
    except Exception as error:  # noqa: BLE001  the application's user may be anything
        logger.warning("pubsubpull: the user of a change cannot be read: %s", type(error).__name__)
        return None
    finally:
        _reading_user.reset(token)


def as_who(user: Any) -> Who | None:
    """Return a user object or a name as text; None for nobody and for an anonymous user."""
    if user is None or isinstance(user, str):
        return Who(id=user, name=user) if user else None
    if not getattr(user, "is_authenticated", True):
        return None
    name = user.get_username() if hasattr(user, "get_username") else user
    return Who(id=str(getattr(user, "pk", user)), name=str(name))


def as_json(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata as plain JSON data. Raises `ContextError`, where it is made rather than where it is written."""
    try:
        text = json.dumps(metadata, allow_nan=False)
        plain: dict[str, Any] = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise exceptions.ContextError(f"The metadata of a context must be JSON: {error}.") from error
    if len(text) > METADATA_LIMIT:
        raise exceptions.ContextError(
            f"The metadata of a context may have {METADATA_LIMIT} characters as JSON, not {len(text)}."
        )
    if _depth(plain) > METADATA_DEPTH:
        raise exceptions.ContextError(f"The metadata of a context may be nested {METADATA_DEPTH} deep, not deeper.")
    cleaned: dict[str, Any] = clean(plain)
    return cleaned


def _depth(value: Any, limit: int = METADATA_DEPTH) -> int:
    """Return how deep JSON data is nested, and never look far below the limit."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max((_depth(v, limit - 1) for v in inner), default=0) if limit >= 0 else 1


_commands: dict[tuple[str, ...], Context | None] = {}


def _command(argv: tuple[str, ...]) -> Context | None:
    """Return the context of the management command that this process is, None where it is something else."""
    if argv not in _commands:
        _commands[argv] = _made_command(argv)
    return _commands[argv]


def _made_command(argv: tuple[str, ...]) -> Context | None:
    program = pathlib.PurePath(argv[0] if argv else "")
    is_django = program.stem in {"manage", "django-admin"} or program.parts[-2:] == ("django", "__main__.py")
    if not is_django or len(argv) < 2 or argv[1] in SERVING or argv[1].startswith("-"):
        return None
    return Context(
        id=uuid7(),
        source="command",
        started=time.monotonic(),
        given={},
        metadata={"command": argv[1]},
    )
