"""Pull pages of changes. Prefetch a backlog: the next page is pulled while the current one is applied."""

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
    """Pulls pages with the changes of some models."""

    client: Client
    """The client of the service."""
    sources: tuple[str, ...]
    """The models, as app_label.modelname."""
    old: bool = True
    """True if updates must have the row before the change, which handlers get."""
    sizes: Sizes = STANDARD_SIZES
    """Limits the size of pages."""

    def whole(self, after: str, *, wait: float = 0.0, limit: int | None = None) -> Page:
        """Return the page after a cursor. The service may hold the call for `wait` seconds until it has changes."""
        limit = limit or self.sizes.page
        return pages.changes(self.client, self.sources, after, wait=wait, limit=limit, old=self.old)

    def compact(self, after: str) -> Compact | Page:
        """Return the page after a cursor in the compact form, or whole if the service has no compact form."""
        return pages.compact(self.client, self.sources, after, limit=self.sizes.compact_page)


class Prefetcher:
    """Returns pages of changes, and pulls the next page of a backlog ahead, in a thread."""

    def __init__(self, service: Service, *, sizes: Sizes = STANDARD_SIZES) -> None:
        self._client: Client = service.client()  # The thread's own: an HTTP session is not safe for two threads.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pubsubpull-prefetch")
        self._next: tuple[tuple[tuple[str, ...], str, bool, bool], Future[Page | Compact]] | None = None
        self._whole_pages = sizes.whole_pages
        self._whole_left = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # First the thread, then its client: a pull under way still needs it.
        self._thread.shutdown(cancel_futures=True)
        self._client.close()

    def prefer_whole(self) -> None:
        """Pull the next `Sizes.whole_pages` pages whole."""
        self._whole_left = self._whole_pages

    def page(
        self, puller: Puller, after: str, *, wait: float = 0.0, compact: bool, limit: int | None = None
    ) -> Page | Compact:
        """Return the page after a cursor, prefetched or pulled now.

        With `compact`, the next page is prefetched in the compact form, unless whole pages are preferred for now.
        """
        compact = compact and limit is None and not self._whole_left
        self._whole_left = max(0, self._whole_left - 1)
        prefetched, self._next = self._next, None
        page = None
        # The caller may have turned to another cursor or form; then the prefetched page is of no use.
        if prefetched is not None and prefetched[0] == (puller.sources, after, puller.old, compact):
            page = self._taken(prefetched[1], compact=compact)
        if page is None:
            page = puller.whole(after, wait=wait, limit=limit)
        if page.more and limit is None:  # A limit follows a time-out: the size of the next page is open.
            compact = compact and not self._whole_left
            own = dataclasses.replace(puller, client=self._client)
            future = self._thread.submit(own.compact if compact else own.whole, page.cursor)
            self._next = ((puller.sources, page.cursor, puller.old, compact), future)
        return page

    def _taken(self, future: Future[Page | Compact], *, compact: bool) -> Page | Compact | None:
        """Return the prefetched page; None if the service failed to give a compact page."""
        try:
            page = future.result()
        except exceptions.ServiceError as error:
            if not compact:
                raise
            # Swallowed: the page can still be pulled whole, which shows a real failure of the service.
            logger.debug("No compact page; pulling whole pages: %s", error)
            page = None
        if compact and not isinstance(page, pages.Compact):
            self.prefer_whole()
        return page
