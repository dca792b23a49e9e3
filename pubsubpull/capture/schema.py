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
    """Give the text of each file, with the path that it runs with before it and the connection's own path after.

    Raises `CommandError` where there is no schema to make the log in.
    """
    ((place, path),) = sql.run(using, sql.template("queries/place"))
    if place is None:
        raise CommandError(
            f"There is no schema to make the log in: the search path is {path}. Create one of these schemas first."
        )
    # Expressions that are bound as they are made, as of defaults and SQL functions, take nobody else's operators.
    yield "SET LOCAL search_path = pg_catalog, pg_temp"
    for file in files:
        yield text(file, place)
    yield sql.compose("queries/set_path", path=path).as_string()


def text(file: str, schema: str) -> str:
    """Return a file with the schema that its own objects are in, and with the text of a change as queries have it."""
    if UNFIT.search(schema):
        raise CommandError(f"The log cannot be in the schema {schema}: its name may hold neither ' nor % nor $$.")
    item = sql.template("queries/item").format(old=psql.SQL("CASE WHEN whole OR op <> 'U' THEN old END"))
    name = psql.Identifier(schema).as_string()
    return sql.read(f"schema/{file}").replace("{item}", item.as_string()).replace("{schema}", name)
