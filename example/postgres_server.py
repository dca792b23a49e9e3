"""A PostgreSQL server that is started, crashed and stopped at will, in a folder of its own."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self, TypeGuard
from urllib.parse import quote

from example import postgres_binaries
from example.postgres_binaries import PostgresError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

SETTINGS = {"max_connections": "200", "shared_buffers": "128MB", "timezone": "UTC", "log_timezone": "UTC"}
DURABILITY = ("fsync", "synchronous_commit", "full_page_writes")
STOP_SIGNALS = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
    "kill": signal.SIGKILL,
}

LIMIT = 60.0
"""Seconds that a start or a stop may take."""
TICK = 0.01
"""Seconds between two looks at something that can only be looked at."""


class Server:
    """A PostgreSQL server in a folder of its own, reached over the loopback address with a password.

    Objects with the same name in the same clone mean the same server, also from several processes.
    A process of the server, be it the postmaster or one that survived it, holds a lock on the file
    ``alive``; the kernel gives the lock back when the last of them is gone. So neither a process
    number that another process got nor a stale pid file can mislead us.
    """

    def __init__(
        self,
        name: str = "demo",
        settings: Mapping[str, object] | None = None,
        *,
        durable: bool = False,
        bindir: Path | None = None,
        base: Path | None = None,
    ) -> None:
        folder = base_folder(base) / f"{name}-{clone_digest()}"
        self.binaries = postgres_binaries.find(bindir, copies=folder.parent)
        self.settings = (
            SETTINGS
            | dict.fromkeys(DURABILITY, "on" if durable else "off")
            | {k: str(v) for k, v in (settings or {}).items()}
        )
        self.folder = folder
        # The major version is in the name since no server reads the files of another one.
        self.data = folder / f"data-{self.binaries.major}"
        self.log = folder / "server.log"
        self._process: subprocess.Popen[Any] | None = None
        self._port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> str:
        """Start the server unless it runs already; the URL of its database ``postgres``."""
        _make(self.folder)
        with _locked(self.folder / "lock"):
            # One may be about to start or to end, and its launcher be gone already.
            if not _wait(lambda: self.running() or not self._alive()):
                raise PostgresError(f"an earlier server neither answers nor ends; see {self.log}")
            if not self.running():
                if not (self.data / "PG_VERSION").exists():
                    self._initialise()
                self._launch()
        return self.url()

    def stop(self, mode: str = "fast") -> bool:
        """Stop the server: ``smart``, ``fast``, ``immediate`` or ``kill``. False when it did not run."""
        if not self.folder.exists():
            return False
        with _locked(self.folder / "lock"):
            if not _wait(lambda: self._pid_file() or not self._alive()):
                raise PostgresError(f"a server has not got far enough to be stopped; see {self.log}")
            fields = self._pid_file()
            if not fields or not self._alive():
                return False
            self._port = int(fields[3])
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(fields[0]), STOP_SIGNALS[mode])
            self._wait_until_gone("the server does not stop")
            return True

    def kill(self) -> bool:
        """End the server as a crash would: without a last word to its files."""
        return self.stop("kill")

    def restart(self, mode: str = "fast") -> str:
        """Stop and start; the URL stays the same unless the port was taken meanwhile."""
        self.stop(mode)
        return self.start()

    def destroy(self) -> None:
        """Stop the server and delete its files."""
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def running(self) -> bool:
        """Whether the server takes connections."""
        fields = self._pid_file()
        return _ready(fields) and self._alive() and _answers(int(fields[3]))

    def url(self, dbname: str = "postgres") -> str:
        """Where the running server's database of that name is."""
        fields = self._pid_file()
        if not fields:
            raise PostgresError(f"the server in {self.folder} does not run")
        password = (self.data / "password").read_text()
        return f"postgresql://postgres:{password}@127.0.0.1:{int(fields[3])}/{quote(dbname, safe='')}"

    def create_database(self, name: str) -> str:
        """Create the database unless there is one of that name; its URL."""
        import psycopg

        with (
            psycopg.connect(self.url(), autocommit=True) as connection,
            contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation),
        ):
            connection.execute(psycopg.sql.SQL("create database {}").format(psycopg.sql.Identifier(name)))
        return self.url(name)

    def _initialise(self) -> None:
        """Make the data folder: whole, or not at all."""
        for left in self.folder.glob("new-*"):  # by a start that was killed
            shutil.rmtree(left, ignore_errors=True)
        new = Path(tempfile.mkdtemp(prefix="new-", dir=self.folder))
        password = new / "password"
        password.write_text(secrets.token_urlsafe(16))
        if user := self.binaries.user:
            os.chown(new, user.pw_uid, user.pw_gid)
            os.chown(password, user.pw_uid, user.pw_gid)
        password.chmod(0o600)
        command = [
            *(str(self.binaries.bindir / "initdb"), "-D", str(new / "data"), "-U", "postgres", "-E", "UTF8"),
            *("--locale=C", "--no-sync", "-A", "scram-sha-256", f"--pwfile={password}"),
        ]
        if self.binaries.major >= 16:
            # The password is random: stretching it would only make every connection slower.
            command += ["--set=scram_iterations=1"]
        options = postgres_binaries.process_options(self.binaries.user)
        made = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False, **options)
        if made.returncode:
            raise PostgresError(f"initdb failed:\n{made.stdout}{made.stderr}")
        password.rename(new / "data" / "password")
        shutil.rmtree(self.data, ignore_errors=True)
        (new / "data").rename(self.data)
        new.rmdir()

    def _launch(self) -> None:
        """Start the server on a port that is free, which another program may take before the server does."""
        for port in (self._port or _free_port(), _free_port(), _free_port()):
            # No process of this server is alive, so the pid in this file can only be a stranger's.
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            self._process = self._spawn(port)
            if self._becomes_ready(self._process):
                self._port = port
                return
            tail = self.log.read_text(errors="replace")
            if "could not create any TCP/IP sockets" not in tail:
                break
        raise PostgresError(f"the server did not start; to begin anew delete {self.folder}. Its log:\n{tail[-2000:]}")

    def _spawn(self, port: int) -> subprocess.Popen[Any]:
        settings = self.settings | {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        command = [str(self.binaries.bindir / "postgres"), "-D", str(self.data), "-p", str(port)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("wb") as log, (self.folder / "alive").open("wb") as alive:
            fcntl.flock(alive, fcntl.LOCK_EX)
            return subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                pass_fds=[alive.fileno()],
                start_new_session=True,  # Ctrl-C is meant for the caller
                **postgres_binaries.process_options(self.binaries.user),
            )

    def _becomes_ready(self, process: subprocess.Popen[Any]) -> bool:
        def settled() -> bool:
            return process.poll() is not None or _ready(self._pid_file())

        if not _wait(settled):
            process.kill()
            process.wait()
        return process.poll() is None

    def _pid_file(self) -> list[str] | None:
        """Read postmaster.pid: the pid is line 0, the port line 3, and, as it gets on, the state line 7."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None
        return lines if len(lines) > 3 else None

    def _alive(self) -> bool:
        with (self.folder / "alive").open("ab") as alive:
            return not try_lock(alive)

    def _wait_until_gone(self, complaint: str) -> None:
        if not _wait(lambda: not self._alive()):
            raise PostgresError(f"{complaint} within {LIMIT:.0f} seconds; see {self.log}")
        if self._process:
            self._process.wait()
            self._process = None


def base_folder(base: Path | None = None) -> Path:
    """Make the folder of all servers of this user: the given one, else one for throw-away files."""
    if base:
        _make(base)
        return base.resolve()
    folder = _temporary_folder() / f"pubsubpull-{os.geteuid()}"
    _make(folder)
    # In a folder that all users may write to, another user could have made it first.
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise PostgresError(f"{folder} belongs to somebody else; set TMPDIR to a folder of your own")
    return folder.resolve()


def _temporary_folder() -> Path:
    """Return a folder for temporary files; as root, a folder that the server's user can enter as well."""
    folders = [Path(name).resolve() for name in (tempfile.gettempdir(), "/var/tmp", "/tmp")]  # noqa: S108 - see above
    if os.geteuid() != 0:
        return folders[0]
    open_to_all = (f for f in folders if all(part.stat().st_mode & stat.S_IXOTH for part in (f, *f.parents)))
    return next(open_to_all, folders[0])


def _make(folder: Path) -> None:
    """Make the folder and those above it: private, or as root such that the server's user can pass."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755 if os.geteuid() == 0 else 0o700)  # under any umask


def clone_digest() -> str:
    """Name the clone that this file is in: two clones have nothing in common."""
    return hashlib.sha256(os.fsencode(Path(__file__).resolve().parents[1])).hexdigest()[:8]


def try_lock(file: IO[bytes]) -> bool:
    """Lock the file until it is closed, unless another process holds the lock."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Only one at a time; the kernel frees the lock of a process that dies."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _wait(event: Callable[[], object]) -> bool:
    end = time.monotonic() + LIMIT
    while not event():
        if time.monotonic() > end:
            return False
        time.sleep(TICK)
    return True


def _ready(pid_file: list[str] | None) -> TypeGuard[list[str]]:
    return pid_file is not None and len(pid_file) > 7 and pid_file[7].strip() == "ready"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False
