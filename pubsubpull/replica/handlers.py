"""Handlers: the user's own code, called for each change in the page's transaction, or enqueued there as a task."""

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
    """The model whose changes it is called for."""
    service: str | None
    """The service that has the source; None for that of the source's replica."""
    ops: frozenset[str]
    """The operations that it is called for."""
    call: Any
    """The function, or the task."""
    task: bool
    """True if it is enqueued, and not called."""
    together: bool = False
    """True if it takes all changes of a page at once."""
    on_failure: declaration.OnFailure = "wait"
    """What becomes of a change that it cannot take, if it follows the source without a replica."""
    callback_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """The further arguments of a task."""
    job_priority: int = 0
    """The priority of a task."""

    @property
    def name(self) -> str:
        """The function's name, with its module's."""
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
    """Call the decorated function for each change of another service's model, in the order of the changes.

    It is given a `Change`, in the transaction that applies the change and moves the cursor: what it writes is written
    once, whatever is killed when. If it raises, its replica waits and tries again. With `task`, the function becomes
    a task of Django's, which is enqueued in that transaction with the change as a dict, and with `callback_kwargs`, of
    `job_priority`: once for each change.
    With `together` it is given a list of all changes of a page, for one statement to write what they come to.
    `service` may be left out where only one has the source. Without a replica of the source only the changes are
    followed, from the moment when the handler is first seen; `on_failure="park"` is for these, and means what it means
    to `replicates`. Raises `ReplicaError`.
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
    """Return the operations of a handler. Raises `ReplicaError` if one of them, or the source, is none."""
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
    """Take a handler back."""
    _handlers[:] = [handler for handler in _handlers if handler.call != call]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Handlers:
    """An effect: the handlers of a source are called for its changes."""

    source: str
    """The model that they follow."""
    service: str
    """The service that has the source."""
    handlers: tuple[Handler, ...]
    """The handlers, in the order in which they were declared."""
    replica: str = ""
    """The replica of the source, whose position is theirs; empty if they have a position of their own."""
    on_failure: declaration.OnFailure = "wait"
    """What becomes of a change that one of them cannot take."""
    shape: str = "none"
    """Nothing is copied for handlers, and so nothing is to be copied again."""
    table: None = None
    """Handlers fill no table of a declaration."""

    @property
    def name(self) -> str:
        """Return the name of their position."""
        return self.replica or f"on_change {self.service} {self.source}"

    def reads(self) -> frozenset[str]:
        """Return no column: handlers are given the changes as they came."""
        return frozenset()

    def plain(self) -> bool:
        """Return False: a handler looks at each change."""
        return False

    def copies(self) -> bool:
        """Return False: the user's code may write more than a copy."""
        return False

    def apply(self, staged: Staged, *, using: str) -> None:  # noqa: ARG002  handlers know their database
        """Call the handlers page by page: in the order of the changes, and then those that take a page's together."""
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
                raise
            versions = f"version {items[0]['version']}" + (f" to {items[-1]['version']}" if items[1:] else "")
            reason = f"{handler.name} failed on {versions}: {type(error).__name__}: {first_line(error)}"
            raise exceptions.ReplicaFailed(self.name, reason) from error


def _call(handler: Handler, items: Sequence[dict[str, Any]]) -> None:
    if not handler.task:
        changes = [Change(**item) for item in items]
        handler.call(changes if handler.together else changes[0])
        return
    arguments = [tasks.argument(item) for item in items]
    given = {"changes": arguments} if handler.together else {"change": arguments[0]}
    tasks.prioritized(handler.call, handler.job_priority).enqueue(**given, **handler.callback_kwargs)


def along(effect: Effect) -> Handlers | None:
    """Return the handlers that are called with a table's pages: those of its source, if it is the source's first."""
    own = tuple(handler for handler in _handlers if _replica(handler) == effect.name)
    if not own:
        return None
    return Handlers(source=effect.source, service=effect.service, handlers=own, replica=effect.name)


def on_their_own(service: str) -> list[Handlers]:
    """Return the handlers of a service's models that have no replica here, by source."""
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
    """Return True if a service's models have handlers: those are told of the row before a change, too."""
    return any(handler.service == service for handler in _handlers)


def homeless() -> list[Handler]:
    """Return the handlers that have neither a replica of their source nor a service: they would never be called."""
    return [handler for handler in _handlers if handler.service is None and _replica(handler) is None]


def _replica(handler: Handler) -> str | None:
    """Return the first replica of a handler's source; None if it has none."""
    return next(
        (
            replica.name
            for replica in declaration.all_replicas().values()
            if replica.source == handler.source and handler.service in {None, replica.service}
        ),
        None,
    )
