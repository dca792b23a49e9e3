"""Telling each cause once, so that a caller that tries again and again does not fill the log."""

from __future__ import annotations


class Once:
    """Remembers which causes have been told of which subject, in this process."""

    def __init__(self, *, most: int = 10) -> None:
        """Prepare to tell at most so many causes of one subject: some are a caller's to choose."""
        self._most = most
        self._told: dict[str, set[str]] = {}

    def is_new(self, subject: str, cause: str) -> bool:
        """Return True if a cause is to be told now, the first time that it is given."""
        told = self._told.setdefault(subject, set())
        if cause in told or len(told) >= self._most:
            return False
        told.add(cause)
        return True

    def forget(self, subject: str) -> None:
        """Let the causes of a subject be told anew."""
        self._told.pop(subject, None)
