"""Names of database roles: those are the whole cluster's, and other test processes are in it at the same time."""

from __future__ import annotations

import os
import re

MINE = f"_{os.getpid()}"
"""Ends the names of this process's roles; those that a killed run has left are in nobody's way."""


def own(name):
    """Return a role's name that is this process's alone."""
    return f"{name}{MINE}"


def owned(text, names):
    """Return a text in which the names of some roles are this process's."""
    return re.sub(rf"\b({'|'.join(names)})\b", rf"\1{MINE}", text)


def plain(text):
    """Return a text with the role names of this process without their suffix."""
    return text.replace(MINE, "")
