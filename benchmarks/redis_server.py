"""Runs the redis-server of the machine on a port, keeping nothing: `python -m benchmarks.redis_server PORT FOLDER`."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    port, folder = sys.argv[1:]
    options = ["--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", folder]
    os.execvp("redis-server", ["redis-server", *options])
