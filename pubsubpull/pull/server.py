"""gunicorn's settings of its workers, as far as its environment and its configuration file show them."""

from __future__ import annotations

import argparse
import ast
import os
import pathlib
import shlex
from typing import Any

TIMEOUT = 30
"""gunicorn's own default time-out of a worker, in seconds."""
CONFIG_FILE = "gunicorn.conf.py"


def short_sync_worker(limit: float) -> int | None:
    """Return the time-out of sync workers if it is at most `limit` seconds; None if nothing shows such workers."""
    # gunicorn's own order: what the environment says overrides the file.
    options = {**_file(), **_environment()}
    if not options:
        return None
    kind = str(options.get("worker_class", "sync"))
    threads = options.get("threads", 1)
    timeout = options.get("timeout", TIMEOUT)
    if kind != "sync" or not isinstance(threads, int) or threads > 1 or not isinstance(timeout, int):
        return None
    return timeout if 0 < timeout <= limit else None


def _environment() -> dict[str, Any]:
    """Return the settings in GUNICORN_CMD_ARGS."""
    options = os.environ.get("GUNICORN_CMD_ARGS", "")
    if not options:
        return {}
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("-k", "--worker-class", dest="worker_class")
    parser.add_argument("--threads", type=int)
    parser.add_argument("-t", "--timeout", type=int)
    try:
        parsed, _ = parser.parse_known_args(shlex.split(options))
    # Swallowed: a check must not fail for options that gunicorn itself will complain of.
    except (argparse.ArgumentError, ValueError):
        return {}
    return {"gunicorn": True} | {name: value for name, value in vars(parsed).items() if value is not None}


def _file() -> dict[str, Any]:
    """Return the constants that the configuration file in the working folder assigns."""
    # Parsed, not run: a check must not have the file's effects.
    try:
        tree = ast.parse(pathlib.Path(CONFIG_FILE).read_text("utf-8"))
    except (OSError, SyntaxError, ValueError):
        return {}
    values: dict[str, Any] = {"gunicorn": True}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            values |= {target.id: node.value.value for target in node.targets if isinstance(target, ast.Name)}
    return values
