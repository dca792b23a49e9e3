"""What a task of the tests does: it must be at a module's level."""

from __future__ import annotations


def greet(change):
    """Run by nobody here: only that it is enqueued counts."""
