"""Pulling pages of changes, and prefetching: while a page of a backlog is applied, the next one is on its way."""

from __future__ import annotations

import dataclasses
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from pubsubpull import exceptions
from pubsubpull.replica import pages
from pubsubpull.replica.sizes import STANDARD_SIZES, Sizes

if TYPE_CHECKING:
    from pubsubpull.pull.client import Client
    from pubsubpull.replica.pages import Compact, Page
    from pubsubpull.replica.services import Service

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Puller:
    """Pulls pages of changes of some models."""

    client: Client
    """The client of the service that has them."""
    sources: tuple[str, ...]
    """The models."""
    old: bool = True
    """True if updates come with the row before, as handlers are told."""
    sizes: Sizes = STANDARD_SIZES
    """How large the pages may be."""

    def whole(self, after: str, *, wait: float = 0.0, limit: int | None = None) -> Page:
        """Pull the page after a cursor; let the service hold the call for `wait` seconds until there is something."""
        limit = limit or self.sizes.page
        return pages.changes(self.client, self.sources, after, wait=wait, limit=limit, old=self.old)

    def compact(self, after: str) -> Compact | Page:
        """Pull the page after a cursor in its compact form, or whole if the service has no such form."""
        return pages.compact(self.client, self.sources, after, limit=self.sizes.compact_page)


class Prefetcher:
    """Gives pages of changes; of a backlog, the next page is pulled in a thread before it is asked for."""

    def __init__(self, service: Service, *, sizes: Sizes = STANDARD_SIZES) -> None:
        self._client: Client = service.client()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pubsubpull-prefetch")
        self._next: tuple[tuple[tuple[str, ...], str, bool, bool], Future[Page | Compact]] | None = None
        self._whole_pages = sizes.whole_pages
        self._whole_left = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._client.close()

    def prefer_whole(self) -> None:
        """Pull the next pages whole."""
        self._whole_left = self._whole_pages

    def page(
        self, puller: Puller, after: str, *, wait: float = 0.0, compact: bool, limit: int | None = None
    ) -> Page | Compact:
        """Return the page after a cursor: the one that was prefetched, or one that is pulled now.

        Where `compact` pages would do, those are prefetched, unless one has turned out not to do.
        """
        compact = compact and limit is None and not self._whole_left
        self._whole_left = max(0, self._whole_left - 1)
        prefetched, self._next = self._next, None
        page = None
        if prefetched is not None and prefetched[0] == (puller.sources, after, puller.old, compact):
            page = self._taken(prefetched[1], compact=compact)
        if page is None:
            page = puller.whole(after, wait=wait, limit=limit)
        if page.more and limit is None:
            compact = compact and not self._whole_left
            own = dataclasses.replace(puller, client=self._client)
            future = self._thread.submit(own.compact if compact else own.whole, page.cursor)
            self._next = ((puller.sources, page.cursor, puller.old, compact), future)
        return page

    def _taken(self, future: Future[Page | Compact], *, compact: bool) -> Page | Compact | None:
        """Return a page that was prefetched; None if it is a compact one that the service failed to give."""
        try:
            page = future.result()
        except exceptions.ServiceError as error:
            if not compact:
                raise
            logger.debug("A compact page could not be had; whole ones are pulled: %s", error)
            page = None
        if compact and not isinstance(page, pages.Compact):
            self.prefer_whole()
        return page
