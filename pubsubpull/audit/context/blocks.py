"""`context()`: opens a context for a block of code or for each call of a function."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import time
from typing import TYPE_CHECKING, Any

from pubsubpull import exceptions
from pubsubpull.audit.context import actors, contexts, json_data
from pubsubpull.audit.context.contexts import Context

if TYPE_CHECKING:
    import contextvars


class Unset:
    """The default of an argument for which None has a meaning."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()


class Block(contextlib.ContextDecorator):
    """A block of code in a context, or a decorator that opens a new context at each call."""

    def __init__(self, source: str | None, user: Any, metadata: dict[str, Any]) -> None:
        self._arguments = (source, user, metadata)
        self._token: contextvars.Token[Context | None] | None = None

    def _recreate_cm(self) -> Block:
        return Block(*self._arguments)

    def __call__(self, func: Any) -> Any:
        """Return the function, or coroutine function, with a new context around each call."""
        if not inspect.iscoroutinefunction(func):
            return super().__call__(func)

        # ContextDecorator would leave the context as soon as the coroutine is made, before it runs.
        @functools.wraps(func)
        async def in_context(*args: Any, **kwargs: Any) -> Any:
            with self._recreate_cm():
                return await func(*args, **kwargs)

        return in_context

    def __enter__(self) -> Context:
        if self._token is not None:
            raise exceptions.ContextError("This context is open already: call pubsubpull.context() again for another.")
        opened = nested(*self._arguments)
        self._token = contexts.enter(opened)
        return opened

    def __exit__(self, *error: object) -> None:
        if self._token is not None:
            contexts.leave(self._token)
        self._token = None


def context(source: str | None = None, user: Any = UNSET, **metadata: Any) -> Block:
    """Return a block that ties its changes to a job of your own: `with pubsubpull.context(source="task"):`.

    It is a decorator as well, of functions and of coroutine functions. Within a request or another context, the block
    inherits every argument that it does not set; outside of any, `source` is "command" and there is no user. `user` is
    a user object or a name, None for no user. `metadata` is any JSON data, added to that of the context around.

    Entering the block raises `ContextError` if the metadata is no JSON, too long or nested too deep.
    """
    return Block(source, user, metadata)


def job(source: str, user: Any, metadata: dict[str, Any]) -> Context:
    """Return a new context that inherits nothing from the current one."""
    actor = actors.of(user)
    return Context(
        id=contexts.uuid7(),
        source=source,
        started=time.monotonic(),
        attributes={},
        metadata=json_data.as_json(metadata),
        actor=lambda: actor,
        known_actor=lambda: actor,
    )


def nested(source: str | None, user: Any, metadata: dict[str, Any]) -> Context:
    """Return a new context within the current one; the arguments are those of `context()`."""
    outer = contexts.current()
    if outer is None:
        return job(source or "command", None if user is UNSET else user, metadata)
    actor = actors.of(None if user is UNSET else user)
    own_actor = {} if user is UNSET else {"actor": lambda: actor, "known_actor": lambda: actor}
    return dataclasses.replace(
        outer,
        id=contexts.uuid7(),
        source=source or outer.source,
        started=time.monotonic(),
        metadata=json_data.as_json({**outer.metadata, **metadata}),
        # The rows of the inner context are its own, but `rows` stays shared: the end of the request updates them too.
        written=set(),
        **own_actor,  # type: ignore[arg-type]
    )
