"""Sizes: the limits of a follower's pages and transactions."""

from __future__ import annotations

import dataclasses

FULL_PAGE, PATIENCE = 1000, 20
"""The changes of an ordinary page; the number of smaller pages before the limit is doubled."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """The limits of a follower. The defaults suit most machines; a small machine or a test may want less."""

    page: int | None = None
    """The most changes of a page; None for as many as the service gives."""
    compact_page: int | None = None
    """The most changes of a compact page; None for as many as the service gives."""
    rows: int | None = None
    """The most rows of a page of rows; None for as many as the service gives."""
    small_page: int = 2**16
    """The most characters of a page for `SingleMessage`, since each effect's statement reads the whole page."""
    compact_together: int = 4
    """The most compact pages of one transaction. If rows need more pages, the pages are staged."""
    whole_pages: int = 50
    """The number of pages pulled whole after a declined compact page, since the next pages may be like it."""
    hashed_rows: int = 10_000
    """The number of rows that one hash covers when a replica is compared with its source."""
    statements: int = 50
    """The most cached statements for compact pages of one table. The source determines how many exist."""


STANDARD_SIZES = Sizes()
"""The default limits."""


class PageLimit:
    """The limit of changes in a page: lowered after a time-out of the database, and raised again later."""

    def __init__(self) -> None:
        self.value: int | None = None
        self._taken = 0

    def lower(self) -> bool:
        """Ask for smaller pages; return False if there are no smaller ones."""
        if self.value == 1:
            return False
        # A quarter: a page that is only a little smaller would time out as well.
        self.value, self._taken = max(1, (self.value or FULL_PAGE) // 4), 0
        return True

    def taken(self) -> None:
        """Count an applied page; after `PATIENCE` pages, ask for larger pages."""
        self._taken += 1
        if self.value is not None and self._taken >= PATIENCE:
            self.value, self._taken = self.value * 2 if self.value < FULL_PAGE // 2 else None, 0
