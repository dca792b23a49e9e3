"""Django's tasks, where there are any (Django 6): each run of one is a context."""

from __future__ import annotations

import contextlib
import importlib.util
from typing import TYPE_CHECKING, Any

from pubsubpull.audit.context import context as audit

if TYPE_CHECKING:
    import contextvars

_tokens: dict[str, contextvars.Token[audit.Context | None]] = {}


def connect() -> None:
    """Listen to the start and the end of tasks."""
    if importlib.util.find_spec("django.tasks") is None:
        return
    from django.tasks import signals

    signals.task_started.connect(started, dispatch_uid="pubsubpull.task_started")
    signals.task_finished.connect(finished, dispatch_uid="pubsubpull.task_finished")


def started(*, task_result: Any, **_: Any) -> None:
    """Open the context of a task. A backend sends this where it is going to call the task."""
    made = audit.job("task", None, {"task": task_result.task.module_path, "task_id": str(task_result.id)})
    _tokens[str(task_result.id)] = audit.enter(made)


def finished(*, task_result: Any, **_: Any) -> None:
    """Close it, back to what was open before. A backend may say that a task ended which never began here."""
    token = _tokens.pop(str(task_result.id), None)
    if token is None:
        return
    # In another thread or task than it began in there is nothing of it to close.
    with contextlib.suppress(ValueError):
        audit.leave(token)
