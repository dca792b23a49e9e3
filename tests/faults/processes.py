"""The service and the workers: real processes, killed, stopped and started again."""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Processes:
    """Starts the suite's processes; `end` leaves none. Their output goes to files in `folder`."""

    def __init__(self, folder, url):
        self.folder = folder
        self.environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.faults.settings", "FAULTS_DATABASE_URL": url}
        self.workers = []
        self._others = []

    def serve(self, url=None):
        """Start the service, on another database where one is named; return its port."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            options = ["--bind", f"fd://{listener.fileno()}", "--threads", "4", "--graceful-timeout", "1"]
            command = ["-m", "gunicorn", *options, "tests.faults.wsgi"]
            given = {"env": {**self.environment, "FAULTS_DATABASE_URL": url}} if url else {}
            self._others.append(self._start("service", command, pass_fds=[listener.fileno()], **given))
        return port

    def work(self):
        """Start another worker."""
        self.workers.append(self._start("workers", ["manage.py", "pubsubpull_deliver"]))

    def kill(self, worker):
        """End a worker at once, and start another in its place."""
        worker.kill()
        worker.wait()
        self.workers.remove(worker)
        self.work()

    def check(self):
        """Raise if a process has ended that the suite did not kill."""
        for process in (*self.workers, *self._others):
            assert process.poll() is None, f"{process.args} ended with {process.returncode}; see {self.folder}"

    def end(self):
        for process in (*self.workers, *self._others):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in (*self.workers, *self._others):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name, arguments, **options):
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **{"env": self.environment, **options},
            )
