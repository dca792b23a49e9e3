"""The demo's SQL, one statement a file."""

import functools
from pathlib import Path


@functools.cache
def read(name: str) -> str:
    """Return the text of NAME.sql."""
    return (Path(__file__).parent / f"{name}.sql").read_text()
