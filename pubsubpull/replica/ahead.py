"""Pulling ahead: while a page is applied, the next one is on its way."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from pubsubpull.replica import pages

if TYPE_CHECKING:
    from pubsubpull.pull.client import Client
    from pubsubpull.replica.pages import Page
    from pubsubpull.replica.services import Service


class Ahead:
    """Gives pages of changes; of a backlog, the next page is pulled in a thread before it is asked for."""

    def __init__(self, service: Service) -> None:
        self._client: Client = service.client()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pubsubpull-ahead")
        self._next: tuple[tuple[tuple[str, ...], str, bool], Future[Page]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._client.close()

    def changes(self, client: Client, sources: list[str], after: str, *, wait: float = 0.0, old: bool = True) -> Page:
        """Return the page after a cursor: the one that was pulled ahead, or one that is pulled now."""
        wanted, self._next = self._next, None
        if wanted is not None and wanted[0] == (tuple(sources), after, old):
            page = wanted[1].result()
        else:
            page = pages.changes(client, sources, after, wait=wait, old=old)
        if page.more:
            following = self._thread.submit(pages.changes, self._client, sources, page.cursor, old=old)
            self._next = ((tuple(sources), page.cursor, old), following)
        return page
