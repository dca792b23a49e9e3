"""A database for each benchmark, made on the server of DATABASE_URL or a durable one, and dropped afterwards."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import dj_database_url
import psycopg
from django.core.management import call_command
from django.db import connection
from psycopg import sql

from benchmarks import sql as files
from example.local_postgres import own_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextlib.contextmanager
def fresh(server: str) -> Iterator[str]:
    """Make a database with every table and trigger, and point Django at it; its URL. In the end it is dropped."""
    name = f"pubsubpull_bench_{secrets.token_hex(4)}"
    url = urlsplit(server)._replace(path=f"/{name}").geturl()
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        before = dict(connection.settings_dict)
        try:
            given = dj_database_url.parse(url)
            _point({part: given[part] for part in ("HOST", "PORT", "USER", "PASSWORD", "NAME")})
            os.environ["BENCH_DATABASE_URL"] = url
            call_command("migrate", run_syncdb=True, verbosity=0)
            files.run(files.read("by_row"))
            yield url
        finally:
            os.environ.pop("BENCH_DATABASE_URL", None)
            _point(before)
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextlib.contextmanager
def durable(server: str) -> Iterator[str]:
    """Yield a server whose commits wait for the disk: this server if they do, or else a new one."""
    with psycopg.connect(server) as connected:
        waits = all(connected.execute(f"SHOW {name}").fetchone() == ("on",) for name in ("fsync", "synchronous_commit"))
    if waits:
        yield server
        return
    with own_server("durable", durable=True) as own:
        yield own.url()


def _point(settings: Mapping[str, Any]) -> None:
    connection.close()
    connection.settings_dict.update(settings)
