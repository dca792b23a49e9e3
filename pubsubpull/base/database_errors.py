"""Tells errors of a database that is away, which pass, from errors of a value, which come again with the value."""

from __future__ import annotations

from django.db import InterfaceError, OperationalError

LIMITS = "54"
"""PostgreSQL's class of errors for values that are too large or nested too deep. Django raises them as the errors of a
database that is away."""


def is_away(error: Exception) -> bool:
    """Return True if the database is away or asks to try again."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    return not (getattr(error.__cause__, "sqlstate", None) or "").startswith(LIMITS)
