"""Sizes: how much a follower takes at once."""

from __future__ import annotations

import dataclasses

LARGEST, PATIENCE = 1000, 20
"""The changes of an ordinary page; after how many smaller pages twice as many changes are asked for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much a follower takes at once. The defaults are good; a small machine or a test may want less."""

    page: int | None = None
    """The most changes of a page; None for as many as the service gives."""
    compact_page: int | None = None
    """The most changes of a compact page; None for as many as the service gives."""
    rows: int | None = None
    """The most rows of a page of a copy; None for as many as the service gives."""
    small_page: int = 2**16
    """The most characters of a page that one message applies. Each effect's statement reads all of it."""
    compact_together: int = 4
    """The most compact pages of one transaction. If more are needed, pages are staged."""
    whole_pages: int = 50
    """How many pages are pulled whole after a compact one that did not do: its successors may be like it."""
    hashed_rows: int = 10_000
    """How many rows of a source one hash covers, when a replica is compared with it."""
    statements: int = 50
    """The most statements for compact pages that are kept for a table. A source decides how many it would need."""


STANDARD_SIZES = Sizes()


class PageLimit:
    """How many changes a page may have: fewer after a time-out of the database, later as many as before."""

    def __init__(self) -> None:
        self.value: int | None = None
        self._taken = 0

    def lower(self) -> bool:
        """Ask for smaller pages; return False if there are no smaller ones."""
        if self.value == 1:
            return False
        self.value, self._taken = max(1, (self.value or LARGEST) // 4), 0
        return True

    def taken(self) -> None:
        """Count a page that was applied; after some, ask for larger ones."""
        self._taken += 1
        if self.value is not None and self._taken >= PATIENCE:
            self.value, self._taken = self.value * 2 if self.value < LARGEST // 2 else None, 0
