"""`@on_event` and `@on_change`: which function is called for what, and under which name its position is kept."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pubsubpull import exceptions
from pubsubpull.capture import registry
from pubsubpull.events import declare as events
from pubsubpull.replica import declaration, tasks
from pubsubpull.wire import ops as wire
from pubsubpull.wire.ops import OP_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from django.db import models

    from pubsubpull.wire.ops import Name

F = TypeVar("F")
LOCAL = ""
"""Stands for this service itself, where the name of another one would stand."""
Start = Literal["now", "start"]
"""Where a handler begins that has no position yet: at the end of the log, or at the beginning of what the log keeps."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Handler:
    """A function that is called for the changes or events of a source, or a task that is enqueued for them."""

    source: str
    """The label of the model or event that the handler follows, in lower case."""
    service: str | None
    """The service of the source; LOCAL for this one; None if the replica or the publication of the source tells it."""
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
    start: Start = "now"
    """Where the handler begins, if its source has no replica here."""
    own_name: str = ""
    """The declared name of its position; empty for the dotted path of the function."""
    takes_events: bool = False
    """True if the handler takes events, and not changes."""
    event_class: type | None = None
    """The class of its events; None if only the label tells."""

    @property
    def name(self) -> str:
        """The name of its position: the declared name, or the dotted path of the function."""
        function = getattr(self.call, "func", self.call)
        return self.own_name or f"{function.__module__}.{function.__qualname__}"

    @property
    def kind(self) -> events.Kind | None:
        """The declared kind of its events; None if they are declared in the other service alone."""
        return events.kind_of(self.event_class) if self.event_class else events.get(self.source)


_handlers: list[Handler] = []


def on_event(
    event: type | str,
    *,
    service: str | None = None,
    task: bool = False,
    together: bool = False,
    on_failure: declaration.OnFailure = "wait",
    start: Start = "now",
    name: str = "",
    callback_kwargs: Mapping[str, Any] | None = None,
    job_priority: int = 0,
) -> Callable[[F], F]:
    """Call the decorated function for each event of a kind, in the order of the log.

    `event` is the declared class, or the label of an event. `service` is the service that emits it, as
    PUBSUBPULL["SERVICES"] names it; without it, this service does. The function is given an `Event`, whose `data` is
    an instance of the class where the class is known, or else a mapping.

    Each handler has a position of its own. What the function writes, the events that it emits, and its position are
    committed together, so that each event has its effect once. If it raises, its writes are taken back, and it alone
    waits and tries again; with `on_failure="park"` the failing event is set aside after some tries, with all later
    events of its key, and the other keys go on. `RetryAfter` and `Refused` say more precisely what is to happen.

    `start` is where a new handler begins: at the end of the log (`"now"`) or at its beginning (`"start"`). `name` names
    its position, so that a renamed function goes on from there. `task`, `together`, `callback_kwargs` and
    `job_priority` mean what they mean to `on_change`; the argument of a task is called `event`, or `events`. Raises
    `ReplicaError`, or `EventError` for a class that is no event.
    """
    event_class = None if isinstance(event, str) else event
    label = event if isinstance(event, str) else events.kind_of(event).label

    return _decorator(
        label,
        service=LOCAL if service is None else service,
        ops=[wire.EVENT.name],
        task=task,
        together=together,
        on_failure=on_failure,
        start=start,
        own_name=name,
        callback_kwargs=callback_kwargs,
        job_priority=job_priority,
        takes_events=True,
        event_class=event_class,
    )


def on_change(
    source: str | type[models.Model],
    *,
    service: str | None = None,
    ops: Iterable[Name] = OP_NAMES,
    task: bool = False,
    together: bool = False,
    on_failure: declaration.OnFailure = "wait",
    start: Start = "now",
    name: str = "",
    callback_kwargs: Mapping[str, Any] | None = None,
    job_priority: int = 0,
) -> Callable[[F], F]:
    """Call the decorated function for each change of the model `source`, in order.

    `source` is the label of a model (app_label.modelname), or the class of a model that this service publishes. The
    function takes one `Change`. It runs in the transaction that applies the change and moves the cursor, so its writes
    to that database happen exactly once. If the function raises, its replica waits and tries again.

    `service` is a name in PUBSUBPULL["SERVICES"]. It may be omitted if the source has a replica here, or is published
    by this service. `ops` limits the operations: a list of their names. With `together`, the function takes a list of
    all changes of a page, and can write them by one statement.

    With `task`, the function becomes a Django task. The transaction enqueues it once for each change, with the
    arguments `change` (a dict; with `together`, `changes`, a list of dicts) and `callback_kwargs`, at `job_priority`.

    Without a replica of the source, the handler follows changes only, from the moment of its first start, and has a
    position of its own. There, `on_failure`, `start` and `name` have the meaning that they have for `on_event`. Raises
    `ReplicaError` for a wrong argument.
    """
    own = not isinstance(source, str)
    return _decorator(
        registry.own_label(source) if not isinstance(source, str) else source,
        service=LOCAL if own and service is None else service,
        ops=ops,
        task=task,
        together=together,
        on_failure=on_failure,
        start=start,
        own_name=name,
        callback_kwargs=callback_kwargs,
        job_priority=job_priority,
    )


def _decorator(
    source: str,
    *,
    ops: Iterable[str],
    task: bool,
    on_failure: declaration.OnFailure,
    start: Start,
    callback_kwargs: Mapping[str, Any] | None,
    job_priority: int,
    **options: Any,
) -> Callable[[F], F]:
    """Return the decorator that declares a handler, once all is checked that was said of it."""
    wanted = _checked_ops(source, ops)
    if start not in {"now", "start"}:
        raise exceptions.ReplicaError(f'{source}: start is "now" or "start", not {start!r}.')
    if not task and (callback_kwargs or job_priority):
        raise exceptions.ReplicaError(f"{source}: callback_kwargs and job_priority are for task=True.")
    kwargs = tasks.checked_kwargs(callback_kwargs, taken={"change", "changes", "event", "events"})
    declaration.checked(on_failure, source)

    def decorate(function: F) -> F:
        call: Any = tasks.as_task(function) if task else function
        handler = Handler(
            source=source.lower(),
            ops=wanted,
            call=call,
            task=task,
            on_failure=on_failure,
            start=start,
            callback_kwargs=kwargs,
            job_priority=job_priority,
            **options,
        )
        if task:
            tasks.prioritized(call, job_priority)
        _handlers.append(handler)
        return call  # type: ignore[no-any-return]

    return decorate


def _checked_ops(source: str, ops: Iterable[str]) -> frozenset[str]:
    """Return the operations as a set. Raises `ReplicaError` for an unknown operation or a malformed source."""
    wanted = frozenset([ops] if isinstance(ops, str) else ops)
    if unknown := wanted - set(OP_NAMES):
        raise exceptions.ReplicaError(f"{source}: ops are of {', '.join(OP_NAMES)}, not {', '.join(sorted(unknown))}.")
    if source.count(".") != 1:
        raise exceptions.ReplicaError(f"The source is app_label.modelname, not {source!r}.")
    return wanted


def all_handlers() -> list[Handler]:
    """Return every handler, in the order in which they were declared."""
    return list(_handlers)


def forget(call: Any) -> None:
    """Remove a handler, given its function or task."""
    _handlers[:] = [handler for handler in _handlers if handler.call != call]


def replica_of(handler: Handler) -> str | None:
    """Return the name of the first replica of a handler's source; None without a replica."""
    if handler.takes_events:
        return None
    return next(
        (
            replica.name
            for replica in declaration.all_replicas().values()
            if replica.source == handler.source and handler.service in {None, replica.service}
        ),
        None,
    )


def service_of(handler: Handler) -> str | None:
    """Return the service that a handler without a replica follows, LOCAL for this one; None if nothing tells it."""
    if handler.service is None and (registry.get(handler.source) or events.get(handler.source)):
        return LOCAL
    return handler.service


def without_replica(service: str | None) -> list[Handler]:
    """Return the handlers of a service that have a position of their own; for None, those that have no service."""
    return [handler for handler in _handlers if replica_of(handler) is None and service_of(handler) == service]


def any_of(service: str) -> bool:
    """Return True if a service has handlers. Pages for handlers must have the row before each change, too."""
    return any(handler.service == service for handler in _handlers)
