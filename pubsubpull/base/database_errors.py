"""Whether an error is the database's, which is waited for, or that of a value, which comes again with it."""

from __future__ import annotations

from django.db import InterfaceError, OperationalError

LIMITS = "54"
"""PostgreSQL's class of errors of what is too large or nested too deep for it. Django has them among the errors of a
database that is away."""


def is_away(error: Exception) -> bool:
    """Return True if the database is away or asks to try again."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    return not (getattr(error.__cause__, "sqlstate", None) or "").startswith(LIMITS)
