"""Runs labels of Django's own suite, once without and once with pubsubpull, and names the tests that fail only with it.

    python -m tests.django_suite basic queries transactions
    SERVER=1 python -m tests.django_suite backends   # with parameters bound by the server

The tests are those of the installed Django's source distribution, which pip brings.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

import django

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUMMARY = re.compile(r"^(?:Ran .*|OK.*|FAILED.*|\d+ changes .*|Replayed: .*)$", re.MULTILINE)
FAILED = re.compile(r"^(?:FAIL|ERROR): (.+)$", re.MULTILINE)


def main(labels: list[str]) -> int:
    """Run the tests, print the failures and return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        tests = source(pathlib.Path(folder))
        base, _ = run(tests, labels, BASE="1")
        found, text = run(tests, labels)
    only = sorted(found - base)
    print(*SUMMARY.findall(text), sep="\n")
    print(f"Failed without pubsubpull: {len(base)}; only with it: {len(only)}.")
    print("\n".join(only))
    if only:
        print(text[-6000:])
    return 1 if only else 0


def source(folder: pathlib.Path) -> pathlib.Path:
    """Return the folder of the tests of the Django that is installed."""
    given = f"django=={django.__version__}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "django", given]
    subprocess.run(command, cwd=folder, check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return next(folder.glob("*/tests/runtests.py")).parent


def run(tests: pathlib.Path, labels: list[str], **environment: str) -> tuple[set[str], str]:
    """Run labels, and return which tests failed and all that was printed."""
    path = os.pathsep.join([str(tests), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "runtests.py", "--settings=tests.django_suite.settings", "--parallel=1", "--noinput", *labels],
        cwd=tests,
        env=os.environ | environment | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if "Ran " not in done.stdout:
        sys.exit(done.stdout)
    return set(FAILED.findall(done.stdout)), done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["basic", "test_utils", "backends", "queries", "transactions"]))
