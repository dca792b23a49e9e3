"""The settings of gunicorn's workers, and the check for time-outs that are too short for waiting calls."""

from __future__ import annotations

import pytest

from pubsubpull.checks import serving as serving_checks
from pubsubpull.pull import server


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GUNICORN_CMD_ARGS", raising=False)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", None),
        ("--workers 4", 30),
        ("--timeout 45", 45),
        ("-t 90", None),
        ("--timeout 0", None),
        ("--threads 8", None),
        ("-k gthread", None),
        ("--worker-class sync --bind 127.0.0.1:1", 30),
        ("--threads many", None),
    ],
)
def test_sync_workers_with_too_short_a_timeout_are_found_in_the_environment(monkeypatch, given, expected):
    monkeypatch.setenv("GUNICORN_CMD_ARGS", given)
    assert server.short_sync_worker(60.0) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 30),
        ("timeout = 120", None),
        ("timeout = 20\nworkers = 3", 20),
        ("threads = 4", None),
        ("worker_class = 'uvicorn.workers.UvicornWorker'", None),
        ("this is no python", None),
    ],
)
def test_they_are_found_in_its_file_which_is_not_run(tmp_path, text, expected):
    (tmp_path / server.CONFIG_FILE).write_text(text)
    assert server.short_sync_worker(60.0) == expected


def test_the_check_names_both_times(monkeypatch):
    assert serving_checks.check_server() == []
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--timeout 20")
    (found,) = serving_checks.check_server()
    assert found.id == "pubsubpull.W013"
    assert "timeout of 20 s; a call may wait for 60 s" in found.msg
