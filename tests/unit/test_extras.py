"""Each extra of the package is installed alone by `make extras`."""

from __future__ import annotations

import pathlib
import tomllib

from tests import extras

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_no_extra_is_left_out():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras.EXTRAS) == {"", *project["optional-dependencies"]}
