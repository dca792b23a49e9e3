"""The benchmarks' SQL: one statement a file, read by name."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection
from psycopg import sql


@functools.cache
def template(name: str) -> sql.SQL:
    """Return a file as a template whose `{names}` psycopg fills in, quoted."""
    return sql.SQL(read(name))  # type: ignore[arg-type]


@functools.cache
def read(name: str) -> str:
    """Return the text of a file, by its name without the ending."""
    return (Path(__file__).parent / f"{name}.sql").read_text("utf-8")


def compose(name: str, **parts: Any) -> sql.Composed:
    """Fill in a template. A value that is no `psycopg.sql` object becomes a quoted literal."""
    return template(name).format(
        **{k: v if isinstance(v, sql.Composable) else sql.Literal(v) for k, v in parts.items()}
    )


def run(statement: sql.Composed | str) -> list[tuple[Any, ...]]:
    """Run a statement on Django's connection, past Django, and return its rows, if it has any."""
    connection.ensure_connection()
    with psycopg.ClientCursor(connection.connection) as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []
