"""Tasks of Django's: what a handler or a job enqueues, with its arguments and its priority."""

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
    """Return a task's further arguments as JSON holds them. Raises `ReplicaError` if JSON cannot."""
    try:
        result: dict[str, Any] = json.loads(json.dumps(dict(kwargs or {}), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise exceptions.ReplicaError(f"callback_kwargs: a dict of what JSON can hold: {error}.") from error
    if clash := sorted(taken & result.keys()):
        raise exceptions.ReplicaError(f"callback_kwargs: {', '.join(clash)} is given by pubsubpull itself.")
    return result


def prioritized(task: Any, priority: int, *, field: str = "job_priority", **options: Any) -> Any:
    """Return a task with a priority; one of 0 is left out, for backends that know none. Raises `ReplicaError`."""
    given = options | ({"priority": priority} if priority else {})
    try:
        return task.using(**given) if given else task
    except Exception as error:
        if "priority" not in given:
            raise
        raise exceptions.ReplicaError(f"{field}: {first_line(error)}") from error


def argument(value: Any) -> Any:
    """Return a value as a task's argument: a number with a point becomes its text, so that no digit is lost."""
    if isinstance(value, dict):
        return {name: argument(each) for name, each in value.items()}
    if isinstance(value, list):
        return [argument(each) for each in value]
    return str(value) if isinstance(value, Decimal) else value


def tasks_module() -> str | None:
    """Return the module that has tasks: Django's own, or that of the package django-tasks."""
    return next((name for name in ("django.tasks", "django_tasks") if importlib.util.find_spec(name)), None)


def as_task(function: Any) -> Any:
    """Return a function as a task; a task stays as it is."""
    if hasattr(function, "enqueue"):
        return function
    module = tasks_module()
    if module is None:
        raise exceptions.ReplicaError("task=True needs Django 6, or the package django-tasks.")
    return importlib.import_module(module).task(function)
