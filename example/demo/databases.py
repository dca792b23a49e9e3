"""The demo's two databases: on a server of its own, or on the server of DATABASE_URL."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from example import local_postgres
from example.demo.processes import DemoError

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ("shop", "billing")
SERVER_SETTINGS = {"track_commit_timestamp": "on"}
"""So that the time from a commit to its arrival can be told exactly."""


@contextlib.contextmanager
def databases() -> Iterator[dict[str, str]]:
    """Make an empty database for each service; their URLs. In the end they are dropped, and the server is stopped."""
    given = bool(os.environ.get("DATABASE_URL"))
    if not given:
        # They are meant for other servers, and would change how ours is reached.
        for name in [name for name in os.environ if name.startswith("PG")]:
            del os.environ[name]
    url = local_postgres.ensure("demo", SERVER_SETTINGS)
    # On a given server, use unused names: existing databases are not touched.
    mark = f"pubsubpull_demo_{secrets.token_hex(4)}_" if given else ""
    urls = {name: _with_database(url, mark + name) for name in NAMES}
    try:
        _each(url, "CREATE DATABASE {}", mark)
        yield urls
    finally:
        if given:
            _each(url, "DROP DATABASE IF EXISTS {} WITH (FORCE)", mark)
        local_postgres.release("demo")


def shown(url: str) -> str:
    """Return the URL for display: without the password if the server was given."""
    password = urlsplit(url).password
    return url.replace(f":{password}@", ":***@") if password and os.environ.get("DATABASE_URL") else url


def _each(url: str, statement: str, mark: str) -> None:
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            for name in NAMES:
                connection.execute(sql.SQL(statement).format(sql.Identifier(mark + name)))
    except psycopg.Error as error:
        raise DemoError(
            f"The PostgreSQL server does not do what is asked: {error}".strip(),
            advice="DATABASE_URL must name a server where its user may create databases; unset, one is started.",
        ) from error


def _with_database(url: str, name: str) -> str:
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{name}{query}"
