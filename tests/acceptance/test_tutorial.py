"""The tutorial's two services, made as it says."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
from urllib.parse import urlsplit

import psycopg
import pytest

from example import local_postgres
from tests import processes

TUTORIAL = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "tutorial.md").read_text()
FILE = re.compile(r"(At the end of|In) `(\w+)/(\w+\.py)`.*?```python\n(.*?)```", re.DOTALL)
APPS = {"shop": ("shop", "orders"), "billing": ("billing", "ledger")}

pytestmark = pytest.mark.acceptance


class Site:
    """One of the two projects, at `folder`."""

    def __init__(self, folder, name, environment):
        self.folder, self.name, self.environment = folder / name, name, environment
        project, app = APPS[name]
        self._run("-m", "django", "startproject", project, cwd=folder)
        self.manage("startapp", app)

    def manage(self, *args):
        return self._run("manage.py", *args, cwd=self.folder)

    def write(self, **replaced):
        """Write the files that the tutorial has for this project."""
        for how, folder, file, text in FILE.findall(TUTORIAL):
            if folder not in APPS[self.name]:
                continue
            path = self.folder / folder / file
            for old, new in replaced.items():
                text = text.replace(old, new)  # noqa: PLW2901  the tutorial's word, with this run's in its place
            path.write_text((path.read_text() if how == "At the end of" else "") + text)

    def _run(self, *args, cwd):
        done = subprocess.run(
            [sys.executable, *args],
            cwd=cwd,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def environment(server):
    """Return how the projects' settings, which name only a database, reach the server."""
    parts = urlsplit(server.url())
    named = {"HOST": parts.hostname, "PORT": str(parts.port), "USER": parts.username, "PASSWORD": parts.password}
    return {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"} | {
        f"PG{name}": value for name, value in named.items()
    }


def test_two_services_as_the_tutorial_has_them(tmp_path):
    with local_postgres.own_server("tutorial") as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE shop")
            connection.execute("CREATE DATABASE billing")
        shop = Site(tmp_path, "shop", environment(server))
        shop.write()
        shop.manage("makemigrations", "orders")
        shop.manage("migrate")
        token = re.search(r"^\s*(\S{30,})\s*$", shop.manage(*words("pubsubpull_consumer")), re.MULTILINE)[1]
        with (
            processes.gunicorn(tmp_path, application="shop.wsgi", cwd=shop.folder, **served(shop, server)) as url,
            psycopg.connect(server.url("shop"), autocommit=True) as connection,
        ):
            billing = Site(tmp_path, "billing", environment(server))
            billing.write(**{"the token": token, "http://127.0.0.1:8000": url})
            billing.manage("makemigrations", "ledger")
            billing.manage("migrate")
            connection.execute("INSERT INTO orders_order (number, total, status) VALUES ('A1', 5, 'new')")
            billing.manage("pubsubpull_follow", "--once")
            connection.execute(statement())
            assert "update 1" in billing.manage("pubsubpull_follow", "--once")
            assert "equal" in billing.manage("pubsubpull_compare")
        with psycopg.connect(server.url("billing")) as connection:
            assert connection.execute("SELECT number, total::text FROM ledger_order").fetchall() == [("A1", "6.00")]


def served(site, server):
    """Return the environment of a project's server: its own settings."""
    own = {"DJANGO_SETTINGS_MODULE": f"{site.name}.settings", "DATABASE_URL": server.url(site.name)}
    return site.environment | own


def words(command):
    """Return a command of the tutorial's."""
    return re.search(rf"python manage.py ({command} .*)", TUTORIAL)[1].split()


def statement():
    """Return the change that Django does not see."""
    return re.search(r'psql shop -c "(.*)"', TUTORIAL)[1]
