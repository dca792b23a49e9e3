"""The files of `sql/schema/`, which create the log's tables and functions, with the log's schema filled in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from django.core.management.base import CommandError
from psycopg import sql as psql

from pubsubpull.capture import sql, texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHARED_PARTS = ("parts/capture_arguments", "parts/item", "parts/text_settings", "parts/unless_uncaptured")
"""Texts that files of `sql/schema/` share, by their files: an edit of one changes each function with it."""
UNFIT_SCHEMA_NAME = re.compile(r"['%]|\$\$")
"""The characters that the name of the log's schema must not contain: functions have it in literals and bodies."""


def statements(files: Sequence[str], *, using: str) -> Iterator[str]:
    """Yield the statements of the files for the session's current schema, framed as by `alone`.

    Raises `CommandError` if the session has no current schema.
    """
    ((current_schema, path),) = sql.run(using, sql.template("queries/session/place"))
    if current_schema is None:
        raise CommandError(
            f"No schema exists to create the log in: the search path is {path}. Create one of these schemas first."
        )
    yield from alone([text(file, current_schema) for file in files], path=path)


def alone(statements: Sequence[str], *, path: str) -> Iterator[str]:
    """Yield a statement that empties the search path, then `statements`, then one to set the path to `path` again."""
    # PostgreSQL binds some expressions, as those of defaults, when it creates them. An operator that somebody put into
    # a schema on the path would be bound, and would run with the rights of every writer.
    yield sql.read("queries/session/no_path")
    yield from statements
    yield sql.compose("queries/session/set_path", path=path).as_string()


def text(file: str, schema: str) -> str:
    """Return the text of a file of `sql/schema/` with its shared parts, for a log in `schema`.

    Raises `CommandError` for an unfit name.
    """
    if UNFIT_SCHEMA_NAME.search(schema):
        raise CommandError(
            f"The log cannot be in the schema {schema}: its name must not contain ', % or $$. Rename the schema."
        )
    names = {
        "schema": psql.Identifier(schema),
        "old": psql.SQL("CASE WHEN whole OR op <> 'U' THEN old END"),
        "op": texts.op_in_item(),
    }
    parts = {name.removeprefix("parts/"): sql.part(name).format(**names) for name in SHARED_PARTS}
    return sql.template(f"schema/{file}").format(**names, **parts).as_string()
