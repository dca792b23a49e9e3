"""What the user's own code does with each change: in the page's transaction, or as a task that it enqueues."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from pubsubpull import exceptions
from pubsubpull.base.threads import first_line
from pubsubpull.pull.client import Change
from pubsubpull.replica import declaration
from pubsubpull.replica.database_errors import is_away
from pubsubpull.wire import jsontext
from pubsubpull.wire.ops import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pubsubpull.replica.declaration import Follows
    from pubsubpull.replica.pages import Page
    from pubsubpull.wire.ops import Name

F = TypeVar("F")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Handler:
    """A function that is called for each change of a source, or for a page's together, or a task that is enqueued."""

    source: str
    service: str | None
    ops: frozenset[str]
    call: Any
    task: bool
    together: bool = False
    on_failure: declaration.OnFailure = "wait"
    callback_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    job_priority: int = 0

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
    wanted = [ops] if isinstance(ops, str) else list(ops)
    if unknown := set(wanted) - set(NAMES):
        raise exceptions.ReplicaError(f"{source}: ops are of {', '.join(NAMES)}, not {', '.join(sorted(unknown))}.")
    if source.count(".") != 1:
        raise exceptions.ReplicaError(f"The source is app_label.modelname, not {source!r}.")
    if not task and (callback_kwargs or job_priority):
        raise exceptions.ReplicaError(f"{source}: callback_kwargs and job_priority are for task=True.")
    kwargs = checked_kwargs(callback_kwargs, taken={"change", "changes"})

    def decorate(function: F) -> F:
        call: Any = _task(function) if task else function
        made = Handler(
            source=source.lower(),
            service=service,
            ops=frozenset(wanted),
            call=call,
            task=task,
            together=together,
            on_failure=declaration.checked(on_failure, source),
            callback_kwargs=kwargs,
            job_priority=job_priority,
        )
        if task:
            prioritized(call, job_priority)
        _handlers.append(made)
        return call  # type: ignore[no-any-return]

    return decorate


def all_handlers() -> list[Handler]:
    """Return every handler, in the order in which they were declared."""
    return list(_handlers)


def forget(call: Any) -> None:
    """Take a handler back."""
    _handlers[:] = [handler for handler in _handlers if handler.call != call]


def of(follows: Follows) -> list[Handler]:
    """Return the handlers that are called with a replica's pages: those of its source, if it is the source's first."""
    return [handler for handler in _handlers if _home(handler) == follows.name]


def any_of(service: str) -> bool:
    """Say whether there are handlers of a service's models: they are told of the row before a change, too."""
    return any(handler.service == service for handler in _handlers)


def listeners(service: str) -> list[declaration.Listener]:
    """Return what is followed of a service for its handlers alone."""
    found: dict[str, declaration.Listener] = {}
    for handler in _handlers:
        if handler.service == service and not _replicas(handler):
            earlier = found.get(handler.source)
            how: declaration.OnFailure = "park" if earlier and earlier.on_failure == "park" else handler.on_failure
            found[handler.source] = declaration.Listener(source=handler.source, service=service, on_failure=how)
    return [found[source] for source in sorted(found)]


def homeless() -> list[Handler]:
    """Return the handlers that have neither a replica of their source nor a service: they would never be called."""
    return [handler for handler in _handlers if handler.service is None and not _replicas(handler)]


def _replicas(handler: Handler) -> list[declaration.Replica]:
    return [
        replica
        for replica in declaration.all_replicas().values()
        if replica.source == handler.source and handler.service in {None, replica.service}
    ]


def _home(handler: Handler) -> str | None:
    """Return the name of what a handler is called with."""
    if found := _replicas(handler):
        return found[0].name
    return (
        None if handler.service is None else declaration.Listener(source=handler.source, service=handler.service).name
    )


def call(replicas: Iterable[Follows], pages: Iterable[Page], *, left_out: Collection[int] = ()) -> None:
    """Call replicas' handlers for the changes in pages, but those in `left_out`. Raises `ReplicaFailed`."""
    handlers = [(follows, handler) for follows in replicas for handler in of(follows)]
    if not handlers:
        return
    for page in pages:
        items = [] if page.empty else jsontext.row(page.body)["items"]
        items = [item for item in items if item["version"] not in left_out]
        for source in dict.fromkeys(follows.source for follows, _ in handlers):
            _call_all([one for one in handlers if one[0].source == source], [i for i in items if i["model"] == source])


def _call_all(handlers: Sequence[tuple[Follows, Handler]], items: Sequence[dict[str, Any]]) -> None:
    """Call handlers of a source for its changes in a page: in the order of the changes, and then those for the page."""
    for item in items:
        for follows, handler in handlers:
            if not handler.together and item["op"] in handler.ops:
                _call(follows, handler, [item])
    for follows, handler in handlers:
        if handler.together and (wanted := [item for item in items if item["op"] in handler.ops]):
            _call(follows, handler, wanted)


def _call(follows: Follows, handler: Handler, items: Sequence[dict[str, Any]]) -> None:
    given: list[Any] = [_plain(item) if handler.task else Change(**item) for item in items]
    try:
        if handler.task:
            told = {"changes": given} if handler.together else {"change": given[0]}
            prioritized(handler.call, handler.job_priority).enqueue(**told, **handler.callback_kwargs)
        else:
            handler.call(given if handler.together else given[0])
    except Exception as error:
        if is_away(error):
            raise
        versions = f"version {items[0]['version']}" + (f" to {items[-1]['version']}" if items[1:] else "")
        reason = f"{handler.name} failed on {versions}: {type(error).__name__}: {first_line(error)}"
        raise exceptions.ReplicaFailed(follows.name, reason) from error


def checked_kwargs(kwargs: Mapping[str, Any] | None, *, taken: Collection[str]) -> dict[str, Any]:
    """Return what a task is called with besides, as JSON holds it. Raises `ReplicaError` where it cannot."""
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(kwargs or {}), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise exceptions.ReplicaError(f"callback_kwargs: a dict of what JSON can hold: {error}.") from error
    if clash := sorted(taken & found.keys()):
        raise exceptions.ReplicaError(f"callback_kwargs: {', '.join(clash)} is given by pubsubpull itself.")
    return found


def prioritized(task: Any, priority: int, *, field: str = "job_priority", **options: Any) -> Any:
    """Return a task with a priority; one of 0 is left out, for backends that know none. Raises `ReplicaError`."""
    given = options | ({"priority": priority} if priority else {})
    try:
        return task.using(**given) if given else task
    except Exception as error:
        if "priority" not in given:
            raise
        raise exceptions.ReplicaError(f"{field}: {first_line(error)}") from error


def _plain(value: Any) -> Any:
    """Return what a task's argument may be: a number with a point becomes its text, so that none of it is lost."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Decimal) else value


def tasks_module() -> str | None:
    """Return the module that has tasks: Django's own, or that of the package django-tasks."""
    return next((name for name in ("django.tasks", "django_tasks") if importlib.util.find_spec(name)), None)


def _task(function: Any) -> Any:
    """Return the function as a task; one that is a task already stays what it is."""
    if hasattr(function, "enqueue"):
        return function
    module = tasks_module()
    if module is None:
        raise exceptions.ReplicaError("task=True needs Django 6, or the package django-tasks.")
    return importlib.import_module(module).task(function)
