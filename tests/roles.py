"""Names of database roles: those are the whole cluster's, and other test processes are in it at the same time."""

from __future__ import annotations

import os


def own(name):
    """Return a role's name that is this process's alone; one that a killed run has left is in nobody's way."""
    return f"{name}_{os.getpid()}"
