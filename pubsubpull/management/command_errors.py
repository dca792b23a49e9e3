"""Errors of commands: one line with the reason and the remedy, never a traceback."""

from __future__ import annotations

from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.db import OperationalError
from psycopg import errors

from pubsubpull import conf, exceptions
from pubsubpull.capture import triggers

MISSING = (errors.UndefinedTable, errors.UndefinedFunction, errors.UndefinedColumn)


class RefusingCommand(BaseCommand):
    """A command that ends with a `CommandError` for every error of this package and of the database."""

    failed = 1
    """The exit status of such an end."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command, and translate its errors."""
        try:
            # Here and not around `handle`: Django runs the system checks within, and these may query the database, too.
            return super().execute(*args, **options)
        except exceptions.PubSubPullError as error:
            raise CommandError(str(error), returncode=self.failed) from error
        # Known errors only: any other is a fault of the code, and its traceback is needed.
        except DatabaseError as error:
            using = options.get("database") or conf.get().DATABASE
            raise CommandError(advice(error, using), returncode=self.failed) from error


def require_log(using: str) -> None:
    """Raise a `CommandError` if the database has no log. A database that does not answer is left to the caller."""
    try:
        schema = triggers.log_schema(using)
    # Swallowed: a worker waits for its database, also at its start.
    except OperationalError:
        return
    if schema is None:
        raise CommandError(without_log(using))


def without_log(using: str) -> str:
    """Return the message for a database without a log."""
    return f"The database {using} has no change log. Run: manage.py migrate --database {using}"


def advice(error: DatabaseError, using: str) -> str:
    """Return the database's error in a line, with the remedy if it is known."""
    cause = error.__cause__
    # The first line: the others quote the statement, and may quote a row.
    told = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if isinstance(cause, MISSING):
        return f"{told}. Are all migrations applied? Run: manage.py migrate --database {using}"
    if isinstance(cause, errors.InsufficientPrivilege):
        return f"{told}. Run it with the role that owns the log: the one that migrates."
    # An error that the server itself reports has an SQLSTATE. Without one, no server has answered.
    if isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None:
        return (
            f"The database {using} does not answer: {told}. Is it running, and are HOST, PORT, USER and PASSWORD of "
            f"DATABASES[{using!r}] right?"
        )
    return told
