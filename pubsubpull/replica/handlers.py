"""What the user's own code does with each change: in the page's transaction, or as a task that it enqueues."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from django.db import InterfaceError, OperationalError

from pubsubpull import exceptions
from pubsubpull.pull.client import Change
from pubsubpull.replica import declared
from pubsubpull.subscribe.threads import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from pubsubpull.replica.declared import Follows
    from pubsubpull.replica.pages import Page

Op = Literal["insert", "update", "delete", "truncate"]
OPS: tuple[Op, ...] = ("insert", "update", "delete", "truncate")
F = TypeVar("F")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Handler:
    """A function that is called for the changes of a source, or a task that is enqueued for each."""

    source: str
    service: str | None
    ops: frozenset[str]
    call: Any
    task: bool

    @property
    def name(self) -> str:
        """The function's name, with its module's."""
        function = getattr(self.call, "func", self.call)
        return f"{function.__module__}.{function.__qualname__}"


_handlers: list[Handler] = []


def on_change(
    source: str, *, service: str | None = None, ops: Iterable[Op] = OPS, task: bool = False
) -> Callable[[F], F]:
    """Call the decorated function for each change of another service's model, in the order of the changes.

    It is given a `Change`, in the transaction that applies the change and moves the cursor: what it writes is written
    once, whatever is killed when. If it raises, its replica waits and tries again. With `task`, the function becomes
    a task of Django's, which is enqueued in that transaction with the change as a dict: once for each change.
    `service` may be left out where only one has the source. Without a replica of the source only the changes are
    followed, from the moment when the handler is first seen. Raises `ReplicaError`.
    """
    wanted = [ops] if isinstance(ops, str) else list(ops)
    if unknown := set(wanted) - set(OPS):
        raise exceptions.ReplicaError(f"{source}: ops are of {', '.join(OPS)}, not {', '.join(sorted(unknown))}.")
    if source.count(".") != 1:
        raise exceptions.ReplicaError(f"The source is app_label.modelname, not {source!r}.")

    def decorate(function: F) -> F:
        call: Any = _task(function) if task else function
        made = Handler(source=source.lower(), service=service, ops=frozenset(wanted), call=call, task=task)
        _handlers.append(made)
        return call  # type: ignore[no-any-return]

    return decorate


def all_handlers() -> list[Handler]:
    """Return every handler, in the order in which they were declared."""
    return list(_handlers)


def forget(call: Any) -> None:
    """Take a handler back."""
    _handlers[:] = [handler for handler in _handlers if handler.call is not call]


def of(follows: Follows) -> list[Handler]:
    """Return the handlers that are called with a replica's pages: those of its source, if it is the source's first."""
    return [handler for handler in _handlers if _home(handler) == follows.name]


def listeners(service: str) -> list[declared.Listener]:
    """Return what is followed of a service for its handlers alone."""
    found = {
        handler.source: declared.Listener(source=handler.source, service=service)
        for handler in _handlers
        if handler.service == service and not _replicas(handler)
    }
    return [found[source] for source in sorted(found)]


def homeless() -> list[Handler]:
    """Return the handlers that have neither a replica of their source nor a service: they would never be called."""
    return [handler for handler in _handlers if handler.service is None and not _replicas(handler)]


def _replicas(handler: Handler) -> list[declared.Replica]:
    return [
        replica
        for replica in declared.all_replicas().values()
        if replica.source == handler.source and handler.service in {None, replica.service}
    ]


def _home(handler: Handler) -> str | None:
    """Return the name of what a handler is called with."""
    if found := _replicas(handler):
        return found[0].name
    return None if handler.service is None else declared.Listener(source=handler.source, service=handler.service).name


def call(follows: Follows, pages: Sequence[Page], *, left_out: Collection[int] = ()) -> None:
    """Call a replica's handlers for the changes in pages, but those in `left_out`. Raises `ReplicaFailed`."""
    handlers = of(follows)
    if not handlers:
        return
    for page in pages:
        for item in json.loads(page.body, parse_float=Decimal)["items"]:
            if item["model"] != follows.source or item["version"] in left_out:
                continue
            for handler in handlers:
                if item["op"] in handler.ops:
                    _call(follows, handler, item)


def _call(follows: Follows, handler: Handler, item: dict[str, Any]) -> None:
    try:
        if handler.task:
            handler.call.enqueue(change=_plain(item))
        else:
            handler.call(Change(**item))
    except (OperationalError, InterfaceError):
        raise  # the database is away: nobody's fault here
    except Exception as error:
        reason = f"{handler.name} failed on version {item['version']}: {type(error).__name__}: {first_line(error)}"
        raise exceptions.ReplicaFailed(follows.name, reason) from error


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
