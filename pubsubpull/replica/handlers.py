"""Handlers: the user's functions, called for each change in the transaction that applies its page.

A handler that is a task is enqueued in that transaction instead.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

from pubsubpull import exceptions
from pubsubpull.base.database_errors import is_away
from pubsubpull.base.threads import first_line
from pubsubpull.pull.client import Change
from pubsubpull.replica import declaration, tasks
from pubsubpull.wire.ops import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pubsubpull.replica.effects import Effect, Staged
    from pubsubpull.wire.ops import Name

F = TypeVar("F")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Handler:
    """A function that is called for the changes of a source, or a task that is enqueued for them."""

    source: str
    """The model that the handler follows, as app_label.modelname in lower case."""
    service: str | None
    """The service of the source; None if it is the service of the source's replica."""
    ops: frozenset[str]
    """The names of the operations that the handler is called for."""
    call: Any
    """The function, or the task."""
    task: bool
    """True if `call` is a task, to be enqueued."""
    together: bool = False
    """True if the handler takes a list of all changes of a page."""
    on_failure: declaration.OnFailure = "wait"
    """The reaction to a change on which the handler fails, if its source has no replica here."""
    callback_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Further keyword arguments of a task."""
    job_priority: int = 0
    """The priority of a task."""

    @property
    def name(self) -> str:
        """The dotted path of the function."""
        function = getattr(self.call, "func", self.call)
        return f"{function.__module__}.{function.__qualname__}"


_handlers: list[Handler] = []


def on_change(
    source: str,
    *,
    service: str | None = None,
    ops: Iterable[Name] = NAMES,
    task: bool = False,
    together: bool = False,
    on_failure: declaration.OnFailure = "wait",
    callback_kwargs: Mapping[str, Any] | None = None,
    job_priority: int = 0,
) -> Callable[[F], F]:
    """Call the decorated function for each change of the model `source` (app_label.modelname), in order.

    The function takes one `Change`. It runs in the transaction that applies the change and moves the cursor, so its
    writes to that database happen exactly once. If the function raises, its replica waits and tries again.

    `service` is a name in PUBSUBPULL["SERVICES"]. It may be omitted if the source has a replica here. `ops` limits the
    operations: a list of their names. With `together`, the function takes a list of all changes of a page, and can
    write them by one statement.

    With `task`, the function becomes a Django task. The transaction enqueues it once for each change, with the
    arguments `change` (a dict; with `together`, `changes`, a list of dicts) and `callback_kwargs`, at `job_priority`.

    Without a replica of the source, the handler follows changes only, from the moment of its first start. There,
    `on_failure` has the meaning that it has for `replicates`. Raises `ReplicaError` for a wrong argument.
    """
    wanted = _checked_ops(source, ops)
    if not task and (callback_kwargs or job_priority):
        raise exceptions.ReplicaError(f"{source}: callback_kwargs and job_priority are for task=True.")
    kwargs = tasks.checked_kwargs(callback_kwargs, taken={"change", "changes"})

    def decorate(function: F) -> F:
        call: Any = tasks.as_task(function) if task else function
        handler = Handler(
            source=source.lower(),
            service=service,
            ops=wanted,
            call=call,
            task=task,
            together=together,
            on_failure=declaration.checked(on_failure, source),
            callback_kwargs=kwargs,
            job_priority=job_priority,
        )
        if task:
            tasks.prioritized(call, job_priority)
        _handlers.append(handler)
        return call  # type: ignore[no-any-return]

    return decorate


def _checked_ops(source: str, ops: Iterable[Name]) -> frozenset[str]:
    """Return the operations as a set. Raises `ReplicaError` for an unknown operation or a malformed source."""
    wanted = frozenset([ops] if isinstance(ops, str) else ops)
    if unknown := wanted - set(NAMES):
        raise exceptions.ReplicaError(f"{source}: ops are of {', '.join(NAMES)}, not {', '.join(sorted(unknown))}.")
    if source.count(".") != 1:
        raise exceptions.ReplicaError(f"The source is app_label.modelname, not {source!r}.")
    return wanted


def all_handlers() -> list[Handler]:
    """Return every handler, in the order in which they were declared."""
    return list(_handlers)


def forget(call: Any) -> None:
    """Remove a handler, given its function or task."""
    _handlers[:] = [handler for handler in _handlers if handler.call != call]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Handlers:
    """An effect: calls the handlers of a source for its changes."""

    source: str
    """The model that the handlers follow."""
    service: str
    """The service of the source."""
    handlers: tuple[Handler, ...]
    """The handlers, in the order in which they were declared."""
    replica: str = ""
    """The replica that shares its position with the handlers; empty if they have a position of their own."""
    on_failure: declaration.OnFailure = "wait"
    """The reaction to a change on which a handler fails."""
    shape: str = "none"
    """A constant, since handlers have no copied rows that a changed declaration could make stale."""
    table: None = None
    """Handlers fill no table of a declaration."""

    @property
    def name(self) -> str:
        """Return the name of the handlers' position."""
        return self.replica or f"on_change {self.service} {self.source}"

    def reads(self) -> frozenset[str]:
        """Return no column: handlers take the changes unread."""
        return frozenset()

    def plain(self) -> bool:
        """Return False: a Python function looks at each change."""
        return False

    def copies(self) -> bool:
        """Return False: a handler may write anything."""
        return False

    def apply(self, staged: Staged, *, using: str) -> None:  # noqa: ARG002  handlers know their database
        """Call the handlers page by page: those for single changes first, those with `together` after them."""
        for items in staged.changes.of(self.source):
            for item in items:
                for handler in self.handlers:
                    if not handler.together and item["op"] in handler.ops:
                        self._call(handler, [item])
            for handler in self.handlers:
                if handler.together and (wanted := [item for item in items if item["op"] in handler.ops]):
                    self._call(handler, wanted)

    def _call(self, handler: Handler, items: Sequence[dict[str, Any]]) -> None:
        try:
            _call(handler, items)
        except Exception as error:
            if is_away(error):
                raise  # no failure of a handler: the database has gone, and the page is tried again
            versions = f"version {items[0]['version']}" + (f" to {items[-1]['version']}" if items[1:] else "")
            reason = f"{handler.name} failed on {versions}: {type(error).__name__}: {first_line(error)}"
            raise exceptions.ReplicaFailed(self.name, reason) from error


def _call(handler: Handler, items: Sequence[dict[str, Any]]) -> None:
    if not handler.task:
        changes = [Change(**item) for item in items]
        handler.call(changes if handler.together else changes[0])
        return
    arguments = [tasks.argument(item) for item in items]
    changed = {"changes": arguments} if handler.together else {"change": arguments[0]}
    tasks.prioritized(handler.call, handler.job_priority).enqueue(**changed, **handler.callback_kwargs)


def along(effect: Effect) -> Handlers | None:
    """Return the handlers that move with a table: the handlers of its source, if it is the source's first replica."""
    own = tuple(handler for handler in _handlers if _replica(handler) == effect.name)
    if not own:
        return None
    return Handlers(source=effect.source, service=effect.service, handlers=own, replica=effect.name)


def on_their_own(service: str) -> list[Handlers]:
    """Return the handlers of a service that follow a model without a replica here, grouped by source."""
    by_source: dict[str, list[Handler]] = {}
    for handler in _handlers:
        if handler.service == service and _replica(handler) is None:
            by_source.setdefault(handler.source, []).append(handler)
    return [
        Handlers(
            source=source,
            service=service,
            handlers=tuple(own),
            on_failure="park" if any(handler.on_failure == "park" for handler in own) else "wait",
        )
        for source, own in sorted(by_source.items())
    ]


def any_of(service: str) -> bool:
    """Return True if a service has handlers. Pages for handlers must have the row before each change, too."""
    return any(handler.service == service for handler in _handlers)


def homeless() -> list[Handler]:
    """Return the handlers that can never be called: without a service, and without a replica of the source."""
    return [handler for handler in _handlers if handler.service is None and _replica(handler) is None]


def _replica(handler: Handler) -> str | None:
    """Return the name of the first replica of a handler's source; None without a replica."""
    return next(
        (
            replica.name
            for replica in declaration.all_replicas().values()
            if replica.source == handler.source and handler.service in {None, replica.service}
        ),
        None,
    )
