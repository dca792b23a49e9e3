"""Whether an error is the database's, which is waited for, or that of a value, which is one replica's alone."""

from __future__ import annotations

from django.db import InterfaceError, OperationalError

LIMITS = "54"
"""PostgreSQL's errors of what is too large or nested too deep for it: Django has them among those of a database that is
away, but they are a value's fault, and come again with it."""


def is_away(error: Exception) -> bool:
    """Return True if the database is away or asks to try again."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    return not (getattr(error.__cause__, "sqlstate", None) or "").startswith(LIMITS)
