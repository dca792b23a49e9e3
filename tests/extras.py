"""Install the package alone, and with each extra alone, and import the modules that need it, for `make extras`.

The tests' own environment has all extras at once, so it does not show a missing requirement of an extra.
"""

from __future__ import annotations

import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
AT_ONCE = 2
"""Environments that are made at one time."""

SETTINGS = """
import django
from django.conf import settings
middleware = ["sessions.middleware.Session", "auth.middleware.Authentication", "messages.middleware.Message"]
settings.configure(
    INSTALLED_APPS=[
        *(f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "messages", "sessions")),
        "ninja",
        "pubsubpull",
    ],
    MIDDLEWARE=[
        *(f"django.contrib.{name}Middleware" for name in middleware), "pubsubpull.middleware.RequestMiddleware"
    ],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.request",
            "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]},
    }],
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "none"}},
    ROOT_URLCONF="pubsubpull.urls",
    SECRET_KEY="x",
)
django.setup()
"""
WALK = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if module.name != "pubsubpull.replica.jobs":  # says itself that it needs Django 6 or django-tasks
        importlib.import_module(module.name)
"""
CHECK = SETTINGS + "from django.core.management import call_command; call_command('check', fail_level='WARNING')"
BENCHMARKS = "import os, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'benchmarks.settings'; django.setup()" + WALK
DOCS = """
import importlib, runpy
for name in runpy.run_path("docs/conf.py")["extensions"]:
    importlib.import_module(name)
"""

EXTRAS = {
    "": [["-c", SETTINGS + WALK, "pubsubpull"], ["-c", CHECK]],
    "fast": [["-c", CHECK], ["-c", "import uvloop, psycopg; assert psycopg.pq.__impl__ == 'binary'"]],
    "metrics": [["-c", SETTINGS + "import prometheus_client, pubsubpull.operate.metrics"]],
    "demo": [["-m", "example.demo", "--help"], ["-m", "gunicorn", "--version"]],
    "test": [["-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]],
    "lint": [["-m", "ruff", "--version"], ["-m", "mypy", "--version"], ["-c", "import mypy_django_plugin.main"]],
    "docs": [["-c", DOCS], ["-c", "import furo"], ["-m", "sphinx", "--version"]],
    "bench": [["-c", BENCHMARKS, "benchmarks"], ["-m", "celery", "--version"]],
}
"""For each extra what Python is to run."""
BESIDE = ("benchmarks", "docs", "example", "tests", "manage.py", "pyproject.toml", "README.md", "CHANGELOG.md")
"""What of the checkout lies where that is run: all but the package, so that the wheel's is imported."""


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "DATABASE_URL"}}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} {command[1]}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def build(into: Path) -> Path:
    """Build the wheel; return its path."""
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", into, ".")
    (wheel,) = into.glob("*.whl")
    return wheel


def install(extra: str, wheel: Path, into: Path) -> Path:
    """Make an environment with the wheel and one extra; return its Python."""
    run(sys.executable, "-m", "venv", "--without-pip", into)
    python = into / "bin" / "python"
    wanted = f"{wheel}[{extra}]" if extra else str(wheel)
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile", wanted)
    return python


def try_one(extra: str, wheel: Path, folder: Path) -> str:
    """Install one extra, run its imports, and report the time."""
    began = time.monotonic()
    environment = folder / "environments" / (extra or "base")
    python = install(extra, wheel, environment)
    for arguments in EXTRAS[extra]:
        run(python, *arguments, cwd=folder)
    shutil.rmtree(environment)
    return f"pubsubpull{f'[{extra}]' if extra else ''}: {time.monotonic() - began:.0f} s"


def main(extras: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name, concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        folder = Path(name)
        wheel = build(folder)
        for beside in BESIDE:
            copy = shutil.copytree if (ROOT / beside).is_dir() else shutil.copy
            copy(ROOT / beside, folder / beside)
        jobs = [pool.submit(try_one, extra, wheel, folder) for extra in extras]
        for job in concurrent.futures.as_completed(jobs):
            print(job.exception() or job.result(), flush=True)
        if any(job.exception() for job in jobs):
            raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:] or list(EXTRAS))
