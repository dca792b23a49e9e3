"""The demo's processes: each in a group and with a log of its own, and none left when the demo ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 30.0
"""Seconds that a process may take to start, or a command to run."""
PATIENCE = 10.0
"""Seconds that a process may take to end before it is killed."""
TICK = 0.02
"""Seconds between two looks at something that can only be looked at."""


class DemoError(Exception):
    """The demo cannot go on. `advice` is the remedy; `log` is the end of the failing process's output."""

    def __init__(self, message: str, *, advice: str = "", log: str = "") -> None:
        super().__init__(message)
        self.advice = advice
        self.log = log


class Processes:
    """Starts, watches and ends processes. A guard ends them should the demo itself be killed."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._guard = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("guard.py")), str(folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def start(self, name: str, *arguments: str, handed: Sequence[int] = ()) -> None:
        """Start a Python module, with its arguments; its output goes to NAME.log."""
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=handed,
                start_new_session=True,
            )
        self._running[name] = process
        self._tell_guard(f"+{process.pid}")

    def serve(self, name: str, application: str, *, threads: int) -> str:
        """Serve a WSGI application under gunicorn on a free port; its URL, once it answers."""
        with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            options = [
                *("--bind", f"fd://{listener.fileno()}", "--worker-class", "gthread", "--threads", str(threads)),
                *("--keep-alive", "75", "--graceful-timeout", "3", "--no-control-socket", "--log-level", "warning"),
            ]
            self.start(name, "gunicorn", *options, application, handed=[listener.fileno()])
        self._wait_for_answer(name, url)
        return url

    def run(self, name: str, *arguments: str) -> str:
        """Run a module to its end; return its output."""
        self.log(name).unlink(missing_ok=True)
        self.start(name, *arguments)
        return self._finish(name)

    def run_all(self, modules: Mapping[str, Sequence[str]]) -> None:
        """Run modules to their ends, at the same time."""
        for name, arguments in modules.items():
            self.start(name, *arguments)
        for name in modules:
            self._finish(name)

    def _finish(self, name: str) -> str:
        process = self._running[name]
        try:
            code = process.wait(LIMIT * 2)
        except subprocess.TimeoutExpired:
            raise self.failure(name, "did not end in time") from None
        if code:
            raise self.failure(name, f"ended with code {code}")
        self._forget(name)
        return self.log(name).read_text(errors="replace").strip()

    def check(self) -> None:
        """Raise DemoError if a process that should run has ended."""
        for name, process in self._running.items():
            if (code := process.poll()) is not None:
                raise self.failure(name, f"ended by itself, with code {code}")

    def pause(self, name: str) -> None:
        """Stop a process where it is: it takes calls, and answers none."""
        os.killpg(self._running[name].pid, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a process go on that was stopped."""
        os.killpg(self._running[name].pid, signal.SIGCONT)

    def sleep(self, seconds: float) -> None:
        """Wait, but not where a process ends that should run."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.check()
            time.sleep(TICK)

    def failure(self, name: str, what: str) -> DemoError:
        """Return an error for a failed process, with the end of its log."""
        log = self.log(name)
        lines = log.read_text(errors="replace").rstrip().splitlines()[-15:] if log.exists() else []
        return DemoError(f"{name} {what}.", advice=f"Its whole log is {log}", log="\n".join(lines) or "(empty)")

    def log(self, name: str) -> Path:
        """Where a process's output goes."""
        return self.folder / f"{name}.log"

    def stop(self) -> None:
        """End all processes, the last one first, and return when they are gone."""
        for name, process in reversed(list(self._running.items())):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
            self._forget(name)
        _pipe(self._guard).close()
        self._guard.wait()

    def _forget(self, name: str) -> None:
        """Reap a process, and end the rest of its group."""
        process = self._running[name]
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        del self._running[name]
        self._tell_guard(f"-{process.pid}")

    def _tell_guard(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            _pipe(self._guard).write(line.encode() + b"\n")
            _pipe(self._guard).flush()

    def _wait_for_answer(self, name: str, url: str) -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            self.check()
            # Whoever asks before the server is there waits in the socket's queue.
            with contextlib.suppress(OSError), opener.open(url, timeout=1):
                return
            time.sleep(TICK)
        raise self.failure(name, f"did not answer within {LIMIT:.0f} seconds")


def _pipe(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin  # noqa: S101 - for the type checker: it was asked for above
    return process.stdin
