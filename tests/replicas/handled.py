"""What a task of the tests does: it must be at a module's level."""

from __future__ import annotations

import importlib

from pubsubpull.replica import tasks


def greet(change, greeting="Hi"):
    """Run by nobody here: only that it is enqueued counts."""


def welcome(instance, greeting="Hi"):
    """As `greet`, for jobs."""


def heed(change):
    """As `greet`, for effects."""


if (module := tasks.tasks_module()) is not None:
    welcome = importlib.import_module(module).task(welcome)
    heed = importlib.import_module(module).task(heed)
