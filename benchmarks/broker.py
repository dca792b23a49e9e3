"""Runs a RabbitMQ of its own below a folder: `python -m benchmarks.broker epmd|rabbitmq FOLDER PORT EPMD_PORT`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The one on the PATH changes to a user that Debian made for it."""


def installed() -> bool:
    """Say whether there is one to run."""
    return SERVER.exists() and shutil.which("epmd") is not None


if __name__ == "__main__":
    what, folder, port, names = sys.argv[1:]
    environment = os.environ | {
        "HOME": folder,
        "ERL_EPMD_PORT": names,
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": "bench@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": port,
        "RABBITMQ_DIST_PORT": str(int(names) + 1),
        "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
        "RABBITMQ_LOG_BASE": f"{folder}/log",
        "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
        "RABBITMQ_CONFIG_FILE": f"{folder}/none",
        "RABBITMQ_PID_FILE": f"{folder}/pid",
    }
    command = ["epmd", "-address", "127.0.0.1", "-port", names] if what == "epmd" else [str(SERVER)]
    os.execvpe(command[0], command, environment)
