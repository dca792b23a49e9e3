"""A database for each benchmark, made on the server of DATABASE_URL and dropped afterwards."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
from django.core.management import call_command
from django.db import connection
from psycopg import sql

from benchmarks import sql as files

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def fresh(server: str) -> Iterator[str]:
    """Make a database with every table and trigger, and point Django at it; its URL. In the end it is dropped."""
    name = f"pubsubpull_bench_{secrets.token_hex(4)}"
    url = urlsplit(server)._replace(path=f"/{name}").geturl()
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        before = connection.settings_dict["NAME"]
        try:
            _point(name)
            os.environ["BENCH_DATABASE_URL"] = url
            call_command("migrate", run_syncdb=True, verbosity=0)
            files.run(files.read("by_row"))
            yield url
        finally:
            os.environ.pop("BENCH_DATABASE_URL", None)
            _point(before)
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _point(name: str) -> None:
    connection.close()
    connection.settings_dict["NAME"] = name
