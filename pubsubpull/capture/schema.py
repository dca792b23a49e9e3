"""The files of `sql/schema/`: the log's tables and functions, made in the schema of the service whose log it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from django.core.management.base import CommandError
from psycopg import sql as psql

from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UNFIT = re.compile(r"['%]|\$\$")
"""What a schema's name may not hold, since functions name it within literals, formats and bodies."""


def statements(files: Sequence[str], *, using: str) -> Iterator[str]:
    """Give the text of each file for the schema that new objects are made in, as `alone` does.

    Raises `CommandError` where there is no such schema.
    """
    ((place, path),) = sql.run(using, sql.template("queries/session/place"))
    if place is None:
        raise CommandError(
            f"There is no schema to make the log in: the search path is {path}. Create one of these schemas first."
        )
    yield from alone([text(file, place) for file in files], path=path)


def alone(made: Sequence[str], *, path: str) -> Iterator[str]:
    """Give statements without anybody's schema on the search path, and put back the session's own path after them.

    Expressions that are bound as they are made, as those of defaults, take nobody else's functions and operators then.
    """
    yield sql.read("queries/session/no_path")
    yield from made
    yield sql.compose("queries/session/set_path", path=path).as_string()


def text(file: str, schema: str) -> str:
    """Return a file with the schema that its own objects are in, and with the text of a change as queries have it."""
    if UNFIT.search(schema):
        raise CommandError(f"The log cannot be in the schema {schema}: its name may hold neither ' nor % nor $$.")
    item = sql.template("parts/item").format(old=psql.SQL("CASE WHEN whole OR op <> 'U' THEN old END"))
    name = psql.Identifier(schema).as_string()
    return sql.read(f"schema/{file}").replace("{item}", item.as_string()).replace("{schema}", name)
