"""Pulling ahead: while a page is applied, the next one is on its way."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from pubsubpull import exceptions
from pubsubpull.replica import pages

if TYPE_CHECKING:
    from pubsubpull.pull.client import Client
    from pubsubpull.replica.pages import Compact, Page
    from pubsubpull.replica.services import Service

logger = logging.getLogger(__name__)
WHOLE = 50
"""How many pages are pulled whole after a compact one that would not do: those that follow may be like it."""


def bound(limit: int | None) -> dict[str, int]:
    """Return what bounds a page, where anything does."""
    return {} if limit is None else {"limit": limit}


class Prefetcher:
    """Gives pages of changes; of a backlog, the next page is pulled in a thread before it is asked for."""

    def __init__(self, service: Service) -> None:
        self._client: Client = service.client()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pubsubpull-ahead")
        self._next: tuple[tuple[tuple[str, ...], str, bool, bool], Future[Page | Compact]] | None = None
        self._whole = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._client.close()

    def whole(self) -> None:
        """Pull the next pages whole."""
        self._whole = WHOLE

    def changes(
        self,
        client: Client,
        sources: list[str],
        after: str,
        *,
        wait: float = 0.0,
        old: bool,
        compact: bool,
        limit: int | None = None,
    ) -> Page | Compact:
        """Return the page after a cursor: the one that was pulled ahead, or one that is pulled now.

        Where `compact` ones would do, those that are pulled ahead are, unless one has turned out not to do.
        """
        compact = compact and limit is None
        compact, self._whole = compact and not self._whole, max(0, self._whole - 1)
        wanted, self._next = self._next, None
        page = None
        if wanted is not None and wanted[0] == (tuple(sources), after, old, compact):
            page = self._taken(wanted[1], compact=compact)
        if page is None:
            page = pages.changes(client, sources, after, wait=wait, old=old, **bound(limit))
        if page.more and limit is None:
            compact = compact and not self._whole
            self._next = ((tuple(sources), page.cursor, old, compact), self._pull(sources, page.cursor, old, compact))
        return page

    def _pull(self, sources: list[str], after: str, old: bool, compact: bool) -> Future[Page | Compact]:
        if compact:
            return self._thread.submit(pages.compact, self._client, sources, after)
        return self._thread.submit(pages.changes, self._client, sources, after, old=old)

    def _taken(self, pulled: Future[Page | Compact], *, compact: bool) -> Page | Compact | None:
        """Return a page that was pulled; None where it is a compact one that the service has failed to give."""
        try:
            page = pulled.result()
        except exceptions.ServiceError as error:
            if not compact:
                raise
            logger.debug("A compact page could not be had; whole ones are pulled: %s", error)
            page = None
        if compact and not isinstance(page, pages.Compact):
            self.whole()
        return page
