"""Django tasks: the arguments and priorities of tasks that handlers and jobs enqueue."""

from __future__ import annotations

import importlib
import importlib.util
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pubsubpull import exceptions
from pubsubpull.base.threads import first_line

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def checked_kwargs(kwargs: Mapping[str, Any] | None, *, taken: Collection[str]) -> dict[str, Any]:
    """Return further arguments of a task as JSON reads them back.

    Raises `ReplicaError` for values that JSON cannot hold and for names that are already `taken`.
    """
    try:
        # Through JSON and back: every backend then stores the same values. NaN is no JSON.
        result: dict[str, Any] = json.loads(json.dumps(dict(kwargs or {}), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise exceptions.ReplicaError(f"callback_kwargs must be a dict that JSON can hold: {error}.") from error
    if clash := sorted(taken & result.keys()):
        raise exceptions.ReplicaError(f"callback_kwargs: {', '.join(clash)} is passed by pubsubpull itself.")
    return result


def prioritized(task: Any, priority: int, *, field: str = "job_priority", **options: Any) -> Any:
    """Return a task with a priority and further options. Raises `ReplicaError` if its backend refuses the priority."""
    # A priority of 0 is left out: some backends know no priorities.
    changed = options | ({"priority": priority} if priority else {})
    try:
        return task.using(**changed) if changed else task
    except Exception as error:
        if "priority" not in changed:
            raise  # Not a matter of the priority: the error of the backend says more.
        raise exceptions.ReplicaError(f"{field}: {first_line(error)}") from error


def argument(value: Any) -> Any:
    """Return a value as a task's argument. Decimals become texts, so that no digit is lost."""
    if isinstance(value, dict):
        return {name: argument(each) for name, each in value.items()}
    if isinstance(value, list):
        return [argument(each) for each in value]
    return str(value) if isinstance(value, Decimal) else value


def tasks_module() -> str | None:
    """Return the module with Django's tasks, or that of the package django-tasks; None without both."""
    return next((name for name in ("django.tasks", "django_tasks") if importlib.util.find_spec(name)), None)


def as_task(function: Any) -> Any:
    """Return a function as a task; return a task unchanged. Raises `ReplicaError` without a tasks module."""
    if hasattr(function, "enqueue"):
        return function
    module = tasks_module()
    if module is None:
        raise exceptions.ReplicaError("task=True needs Django 6, or the package django-tasks.")
    return importlib.import_module(module).task(function)
