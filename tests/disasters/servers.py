"""Servers, their standbys and copies, and the programs of PostgreSQL that make these."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import time
from urllib.parse import urlsplit

import psycopg
import pytest

from example import local_postgres

LIMIT = 120.0
"""How long a server may take to come to where it is waited for, in seconds."""


def found(server, name):
    """Return the path of one of PostgreSQL's programs; skip where this PostgreSQL has none."""
    path = shutil.which(name, path=server.binaries.bindir)
    if path is None:
        (pytest.fail if os.environ.get("PUBSUBPULL_REQUIRE_ALL") else pytest.skip)(f"this PostgreSQL has no {name}")
    return path


def environment(server):
    """Return how libpq reaches a server."""
    parts = urlsplit(server.url())
    named = {"HOST": parts.hostname, "PORT": str(parts.port), "USER": parts.username, "PASSWORD": parts.password}
    return os.environ | {f"PG{name}": value for name, value in named.items()}


def program(server, name, *args, data=None, codes=(0,), **options):
    """Run one of PostgreSQL's programs against a server, which must end with one of `codes`; return its output."""
    command = [found(server, name), *args]
    done = subprocess.run(
        command, env=environment(server), input=data, capture_output=True, timeout=180, check=False, **options
    )
    assert done.returncode in codes, done.stderr.decode()
    return done.stdout


def as_owner(server):
    """Return the options that run a program as the owner of the server's files."""
    owner = server.data.stat()
    return {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}


def hand_over(folder, like):
    """Give all of a folder to the owner of another."""
    owner = like.stat()
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def source(server, name=""):
    """Return how a standby reaches its primary."""
    parts = urlsplit(server.url())
    given = f"host={parts.hostname} port={parts.port} user={parts.username} password={parts.password}"
    return f"{given} application_name={name}" if name else given


def copy_of(server, folder, *options, name=""):
    """Make a base backup of a running server at `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    program(server, "pg_basebackup", "-D", str(folder), "-d", source(server, name), "-c", "fast", *options)
    if os.geteuid() == 0:
        hand_over(folder, server.data)


@contextlib.contextmanager
def empty(name, settings=None):
    """Give a server that does not run, and whose files are to come from elsewhere."""
    with local_postgres.own_server(name, settings) as server:
        server.stop()
        shutil.rmtree(server.data)
        yield server


@contextlib.contextmanager
def standby(primary, *, name="standby", settings=None):
    """Run a streaming standby of `primary`."""
    with empty(name, settings) as server:
        copy_of(primary, server.data, "-R", "-X", "stream", name=name)
        server.start()
        yield server


def execute(server, text):
    """Run a statement; return its rows."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        cursor = connection.execute(text)
        return cursor.fetchall() if cursor.description else []


def until(condition, what):
    """Wait until something holds."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def caught_up(primary, other):
    """Wait until a standby has replayed all that the primary has written."""
    ((target,),) = execute(primary, "SELECT pg_current_wal_flush_lsn()::text")
    until(
        lambda: execute(other, f"SELECT pg_last_wal_replay_lsn() >= '{target}'")[0][0], "the standby does not catch up"
    )


def cut_off(other):
    """Let a standby get nothing more from its primary."""
    execute(other, "ALTER SYSTEM SET primary_conninfo = ''")
    execute(other, "SELECT pg_reload_conf()")
    until(lambda: not execute(other, "SELECT pid FROM pg_stat_wal_receiver"), "the standby is still fed")


def promote(other):
    """Make a standby the primary."""
    execute(other, "SELECT pg_promote()")
    until(lambda: not execute(other, "SELECT pg_is_in_recovery()")[0][0], "the standby is not promoted")


def crash(server):
    """Kill all processes of a server at once, the first of them first, so that it starts nothing anew; then wait."""
    postmaster = int((server.data / "postmaster.pid").read_text("utf-8").split()[0])
    for pid in (postmaster, *list(_children(postmaster))):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    server.kill()
    if server._process:
        server._process.wait()
        server._process = None


def _children(parent):
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text("utf-8").rpartition(")")[2].split()  # state, parent, …
            if int(fields[1]) == parent:
                yield int(stat.parent.name)


def hand_over_like(folder, like):
    """Give all of a folder to the owner of another, where this process may."""
    if os.geteuid() == 0:
        hand_over(folder, like)


def rewind(server, other):
    """Make a stopped server a standby of the server promoted in its place."""
    server.start()  # it must have ended well
    server.stop()
    target = ["--target-pgdata", str(server.data), "--source-server", f"{source(other)} dbname=postgres"]
    program(other, "pg_rewind", *target, "--write-recovery-conf", **as_owner(server), cwd=server.data)
    (server.data / "standby.signal").touch()
    hand_over_like(server.data, other.data)


def kill(pid):
    """Kill one process of a server."""
    os.kill(pid, signal.SIGKILL)


def answers(server):
    """Say whether a server takes statements."""
    with contextlib.suppress(psycopg.OperationalError):
        return bool(execute(server, "SELECT 1"))
    return False


def copy_files(data, to):
    """Copy the files of a server that is at rest."""
    shutil.copytree(data, to)
    hand_over_like(to, data)


class Named:
    """Another database of a server."""

    def __init__(self, server, name):
        self._server, self._name = server, name

    def url(self):
        """Return where it is."""
        return self._server.url(self._name)
