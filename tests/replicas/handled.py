"""The function of a task in the tests: it must be at a module's level."""

from __future__ import annotations

import importlib

from pubsubpull.replica import tasks


def greet(change, greeting="Hi"):
    """Never run here: it only needs to be enqueued."""


def welcome(instance, greeting="Hi"):
    """As `greet`, for jobs."""


def heed(change):
    """As `greet`, for effects."""


def placed(event, greeting="Hi"):
    """As `greet`, for events."""


if (module := tasks.tasks_module()) is not None:
    welcome = importlib.import_module(module).task(welcome)
    placed = importlib.import_module(module).task(placed)
    heed = importlib.import_module(module).task(heed)
