"""docs/benchmarks.md: the prose is written by hand, and the text between a benchmark's marks by its runs."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from benchmarks import measure

if TYPE_CHECKING:
    from benchmarks.measure import Outcome

PATH = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
PACKAGES = (
    "Django",
    "psycopg",
    "aiohttp",
    "gunicorn",
    "django-pghistory",
    "django-cqrs",
    "djangorestframework",
    "celery",
    "redis",
    "requests",
)


def write(name: str, outcome: Outcome, server: str) -> None:
    """Replace a benchmark's former result and machine in the document with the new ones."""
    text = put(PATH.read_text("utf-8"), name, _section(outcome))
    PATH.write_text(put(text, "machine", machine(server)), "utf-8")


def put(text: str, name: str, content: str) -> str:
    """Replace the text between the marks of `name`."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    found = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not found.search(text):
        raise ValueError(f"{PATH} has no marks {begin} and {end}")
    return found.sub(lambda _: f"{begin}\n\n{content}\n\n{end}", text)


def _section(outcome: Outcome) -> str:
    parts = [measure.table(outcome.lines)] if outcome.lines else []
    return "\n\n".join([*parts, *outcome.notes])


def machine(server: str) -> str:
    """Describe the machine and the versions of a run."""
    with psycopg.connect(server) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    versions = [f"Python {platform.python_version()}", f"PostgreSQL {row[0] if row else '?'}"]
    versions += [f"{package} {importlib.metadata.version(package)}" for package in PACKAGES]
    return (
        f"{dt.datetime.now(tz=dt.UTC).date()}, {os.cpu_count()} cores ({_processor()}), "
        f"{platform.system()} {platform.machine()}. "
        f"{', '.join(versions)}."
    )


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or "unknown"
