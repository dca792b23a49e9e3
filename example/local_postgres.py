"""A throw-away PostgreSQL for the demo, the tests and the benchmarks.

    python -m example.local_postgres run [--name NAME] COMMAND...          a server of the command's own
    python -m example.local_postgres start|stop|status|url [--name NAME]   a server that stays

Where ``DATABASE_URL`` is set that server is used, and none is started or stopped. Needs a POSIX system.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:  # run by its path, as ensure() does: the clone may not be on the module path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from example.postgres_binaries import PostgresError
from example.postgres_server import Server, base_folder, clone_digest, try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

__all__ = ["PostgresError", "Server", "ensure", "main", "own_server", "release"]


@contextlib.contextmanager
def own_server(name: str, settings: Mapping[str, object] | None = None, *, durable: bool = False) -> Iterator[Server]:
    """Start an exclusive server without earlier data; stop and delete it at exit.

    It gets the first free of the names NAME-1, NAME-2, and so on. The lock on the name goes with its
    holder, so that the next holder finds and removes the leftovers of a killed one.
    """
    for number in count(1):
        # The lock file stays: were it deleted, two could hold a lock on files of the same name.
        with (base_folder() / f"{name}-{number}-{clone_digest()}.lock").open("ab") as lock:
            if not try_lock(lock):
                continue
            server = Server(f"{name}-{number}", settings, durable=durable)
            server.destroy()
            try:
                server.start()
                yield server
            finally:
                server.destroy()
            return


@dataclass(frozen=True, kw_only=True)
class _Held:
    """A server of our own, and the process that ends it when we end."""

    url: str
    holder: subprocess.Popen[str]


_held: dict[str, _Held] = {}


def ensure(name: str = "test", settings: Mapping[str, object] | None = None) -> str:
    """Return the URL in ``DATABASE_URL``, else that of a new, empty server which ends with this process.

    The server is this process's own, however many others ask for the same name at the same time.
    A small process waits for any end of ours, and then stops the server.
    """
    given = os.environ.get("DATABASE_URL")
    if given:
        return given
    if name not in _held:
        _held[name] = _hold(name, settings or {})
        atexit.register(release, name)
    return _held[name].url


def release(name: str = "test") -> None:
    """End the server that ``ensure`` started under this name; nothing happens when there is none."""
    held = _held.pop(name, None)
    if held:
        held.holder.communicate()


def _hold(name: str, settings: Mapping[str, object]) -> _Held:
    # -P: the folder of this file must not come before the standard library.
    command = [
        sys.executable,
        "-P",
        __file__,
        "hold",
        "--name",
        name,
        "--settings",
        json.dumps(dict(settings)),
    ]
    holder = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is meant for us, and the server must outlive it
    )
    assert holder.stdout  # noqa: S101 - for the type checker: it was asked for above
    answer = json.loads(holder.stdout.readline() or '{"error": "the process that starts the server died"}')
    if "error" in answer:
        holder.communicate()
        raise PostgresError(answer["error"])
    return _Held(url=answer["url"], holder=holder)


def hold(name: str, settings: Mapping[str, object]) -> int:
    """Start a server, say where it is, and keep it until the other end of our input is closed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with own_server(name, settings) as server:
            print(json.dumps({"url": server.url()}), flush=True)
            sys.stdin.read()
    except PostgresError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 1
    return 0


def run(name: str, command: Sequence[str]) -> int:
    """Run the command with ``DATABASE_URL`` set, pass signals on to it; its exit code, as a shell says it."""
    if shutil.which(command[0]) is None:
        raise PostgresError(f"{command[0]}: no such command")
    received: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def forward(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        # What is typed at a terminal reaches the command by itself, and twice is an order to hurry.
        if child and not (number == signal.SIGINT and _in_foreground()):
            child.send_signal(number)

    for wanted in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(wanted) is not signal.SIG_IGN:  # nohup and `&` in a script ignore some
            signal.signal(wanted, forward)
    url = ensure(name)
    try:
        if not received:
            child = subprocess.Popen(command, env={**os.environ, "DATABASE_URL": url})
            for number in received:  # between the question above and the assignment
                child.send_signal(number)
            child.wait()
    finally:
        release(name)
    code = child.returncode if child else -received[0]
    return code if code >= 0 else 128 - code


def _in_foreground() -> bool:
    """Return true if this process runs in the foreground of its terminal, if any."""
    try:
        with Path("/dev/tty").open("rb", buffering=0) as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        match options.action:
            case "run":
                return run(options.name, options.command)
            case "hold":
                return hold(options.name, options.settings)
            case action:
                return _act(action, options.name)
    except PostgresError as error:
        print(f"local_postgres: {error}", file=sys.stderr)
    return 127


def _act(action: str, name: str) -> int:
    given = os.environ.get("DATABASE_URL")
    if given:
        print(given)
        return 0
    server = Server(name)
    match action:
        case "start":
            print(server.start())
        case "stop":
            print("stopped" if server.stop() else "was not running")
        case "url":
            print(server.url())
        case _:
            running = server.running()
            print(f"running: {server.url()}" if running else "not running")
            return 0 if running else 3
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m example.local_postgres", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    for action in ("run", "hold", "start", "stop", "status", "url"):
        sub = actions.add_parser(action)
        sub.add_argument("--name", default="dev")
        if action == "run":
            sub.add_argument("command", nargs=argparse.REMAINDER)
        if action == "hold":
            sub.add_argument("--settings", type=json.loads, default={})
    return parser


if __name__ == "__main__":
    sys.exit(main())
