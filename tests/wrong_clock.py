"""Makes a process believe that it is another time, as a machine with a wrong clock does."""

from __future__ import annotations

import time

from django.utils import timezone


def set_off(seconds):
    """Shift this process's wall clock by some seconds; monotonic clocks stay right."""
    right, now = time.time, timezone.now

    def wrong():
        return right() + seconds

    def wrong_moment():
        return now() + timezone.timedelta(seconds=seconds)

    time.time = wrong
    timezone.now = wrong_moment
