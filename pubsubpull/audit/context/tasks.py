"""The contexts of Django's tasks (Django 6 and later): each run of a task is a context."""

from __future__ import annotations

import contextlib
import importlib.util
from typing import TYPE_CHECKING, Any

from pubsubpull.audit.context import blocks, contexts

if TYPE_CHECKING:
    import contextvars

    from pubsubpull.audit.context.contexts import Context

_tokens: dict[str, contextvars.Token[Context | None]] = {}
"""By the id of a running task, the token that leaves its context."""


def connect() -> None:
    """Connect to the signals of tasks; do nothing before Django 6."""
    if importlib.util.find_spec("django.tasks") is None:
        return
    from django.tasks import signals

    signals.task_started.connect(started, dispatch_uid="pubsubpull.task_started")
    signals.task_finished.connect(finished, dispatch_uid="pubsubpull.task_finished")


def started(*, task_result: Any, **_: Any) -> None:
    """Open the context of a task. Backends send this signal in the thread or task that will run the task."""
    context = blocks.job("task", None, {"task": task_result.task.module_path, "task_id": str(task_result.id)})
    _tokens[str(task_result.id)] = contexts.enter(context)


def finished(*, task_result: Any, **_: Any) -> None:
    """Leave the context of a task."""
    token = _tokens.pop(str(task_result.id), None)
    # A backend may send the end of a task that another process started.
    if token is None:
        return
    # In another thread or task than that of the start the context is not open, so there is nothing to leave.
    with contextlib.suppress(ValueError):
        contexts.leave(token)
