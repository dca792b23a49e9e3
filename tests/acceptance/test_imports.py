"""The past of other audit packages, imported: the tests of a project that has them all, run with its own settings."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.processes import ROOT

pytestmark = pytest.mark.acceptance


def test_the_past_of_other_packages_comes_into_the_log():
    """Each is described in tests/pasts/, and fails here with its own words."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests/pasts",
        "--ds=tests.pasts.settings",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [*command, "--timeout=200"],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.pasts.settings"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
