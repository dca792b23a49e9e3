"""How many connections a worker may have: within what the system lets a process open."""

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
"""More than so many are never asked for."""
RESERVE = 40
"""What a worker opens besides: its database connections, files, look-ups of names."""
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS})
"""What the system says where it has no more descriptors, for this process or for all."""

logger = logging.getLogger("pubsubpull")


def allowed(system: Any = resource) -> int:
    """Return how many descriptors this process may have, after raising that as far as it may without a right."""
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
    """Return how many connections to receivers a worker may have, those that are kept open between sends included."""
    return max(allowed(system) - RESERVE, 4)


def is_exhausted(error: BaseException) -> bool:
    """Say whether the system had no descriptor for it: that is our own lack, and no receiver's fault."""
    return isinstance(error, OSError) and error.errno in EXHAUSTED
