"""The limit of a worker's connections, from the number of file descriptors that the system allows."""

from __future__ import annotations

import errno
import logging
from typing import Any

resource: Any
try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None

MOST = 65_536
"""The most descriptors that a process asks for."""
RESERVE = 40
"""The descriptors kept for database connections, files and name lookups."""
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS})
"""The errors of a system without free descriptors, for this process or for all."""

logger = logging.getLogger("pubsubpull")


def allowed(system: Any = resource) -> int:
    """Return how many descriptors this process may have, after raising its limit as far as allowed."""
    if system is None:
        return MOST
    soft: int
    hard: int
    soft, hard = system.getrlimit(system.RLIMIT_NOFILE)
    wanted = MOST if hard == system.RLIM_INFINITY else min(hard, MOST)
    if soft != system.RLIM_INFINITY and soft < wanted:
        try:
            system.setrlimit(system.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # a system with a lower limit of its own
            return soft
        return wanted
    return MOST if soft == system.RLIM_INFINITY else soft


def room(system: Any = resource) -> int:
    """Return how many connections to receivers a worker may have, idle ones included."""
    return max(allowed(system) - RESERVE, 4)


def is_exhausted(error: BaseException) -> bool:
    """True if the system had no descriptor left, which is no fault of the receiver."""
    return isinstance(error, OSError) and error.errno in EXHAUSTED
