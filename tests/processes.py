"""Real processes for the acceptance tests: started, waited for, and always ended."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from django.db import connection

ROOT = pathlib.Path(__file__).resolve().parents[1]


def free_port():
    """Return a free port of the loopback address that no outgoing connection will take meanwhile.

    The system gives those ports from 32,768 on. Two processes that ask at once hardly choose the same one.
    """
    for _ in range(1000):
        port = random.SystemRandom().randrange(10_240, 32_768)  # not the generator that a random order has seeded
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def test_database_url():
    """Return the URL of the test database, for other processes."""
    given = connection.get_connection_params()
    password = f":{given['password']}" if given.get("password") else ""
    return f"postgresql://{given['user']}{password}@{given['host']}:{given['port']}/{given['dbname']}"


test_database_url.__test__ = False


@contextlib.contextmanager
def running(*command, log, cwd=ROOT, **env):
    """Run a command as a process group of its own; end it at the end, by its group."""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"} | env
    environment["DATABASE_URL"] = env.get("DATABASE_URL") or test_database_url()
    with pathlib.Path(log).open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)


@contextlib.contextmanager
def gunicorn(tmp_path, *, application="tests.wsgi", port=None, workers=1, threads=4, **env):
    """Serve the test project under gunicorn; yield its URL once it answers."""
    port = port or free_port()
    log = tmp_path / f"gunicorn-{port}.log"
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        application,
        "-b",
        f"127.0.0.1:{port}",
        "-w",
        str(workers),
        "--threads",
        str(threads),
    ]
    with running(*command, log=log, **env):
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(url), log=log)
        yield url


@contextlib.contextmanager
def uvicorn(tmp_path, *, application="tests.asgi:application", **env):
    """Serve the test project under uvicorn, in one process; yield its URL, and the process, once it answers."""
    port = free_port()
    log = tmp_path / f"uvicorn-{port}.log"
    command = [sys.executable, "-m", "uvicorn", application, "--port", str(port), "--lifespan", "off"]
    with running(*command, log=log, **env) as process:
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(url), log=log)
        yield url, process


def answers(url):
    """Say whether there is any HTTP answer at the address."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True


def until(condition, *, limit=60.0, log=None):
    """Wait until the condition holds; fail after `limit` seconds, with the end of the log."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"it did not come about in {limit} s: {log.read_text()[-2000:] if log else ''}")
        time.sleep(0.01)


def require(program, *folders):
    """Return a program's path; skip the test where it is missing, or fail it where everything must be there."""
    import shutil

    found = shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), *folders]))
    if found is None:
        reason = f"{program} is not installed"
        (pytest.fail if os.environ.get("PUBSUBPULL_REQUIRE_ALL") else pytest.skip)(reason)
    return found


SOCKETS = pathlib.Path("/proc/net/tcp")


def connected_to(port):
    """Return how many sockets of this process are connected to a port."""
    rows = [line.split() for line in SOCKETS.read_text().splitlines()[1:]]
    there = {f"socket:[{row[9]}]" for row in rows if int(row[2].split(":")[1], 16) == port}
    found = 0
    for entry in pathlib.Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            found += str(entry.readlink()) in there
    return found
