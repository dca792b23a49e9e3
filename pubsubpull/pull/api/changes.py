"""Changes over HTTP: a page after a cursor, at once or as soon as there are changes."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Any

from django.db import connections
from django.http import HttpRequest, HttpResponse
from ninja import Router

from pubsubpull import conf
from pubsubpull.log import expiry, feed
from pubsubpull.pull import changes, consumers, held_calls, problems, waiting
from pubsubpull.pull.api import calls, schemas
from pubsubpull.wire import pages

if TYPE_CHECKING:
    from pubsubpull.log.cursor import Cursor

COMPACT_TIMES = 5
"""The most changes of a compact page, as a multiple of those of other pages."""
router = Router()
CHANGES_ERRORS: dict[int, Any] = dict.fromkeys((400, 401, 403, 404, 410, 503), schemas.Problem)


@router.get(
    "/changes/",
    response={200: schemas.Changes | schemas.CompactChanges, **CHANGES_ERRORS},
    summary="The changes after a cursor",
    operation_id="getChanges",
)
def changes_(  # noqa: PLR0917  each is a part of the query
    request: HttpRequest,
    models: str | None = None,
    after: str | None = None,
    limit: int | None = None,
    wait: float = 0,
    old: bool = True,
    compact: bool = False,
) -> HttpResponse:
    """Return a page of changes; without `after`, or with `start`, from the log's start.

    With `after=now` the page is empty and has the cursor of the present. `wait` holds the call until there are changes,
    for at most so many seconds. With `old=false` updates come without the row before. With `compact=true` the page is
    by model, and each change is an array: its version, key, op and row. The row is the state after the change; for a
    delete, the state before it. It has the values of the model's `columns`, or is an object if it has other columns.
    """
    calls.check_known(request, changes_)
    chosen = consumers.chosen(calls.consumer(request), models)
    times = COMPACT_TIMES if compact else 1
    limit = calls.checked_limit(limit, usual=calls.DEFAULT_LIMIT * times, times=times)
    _check_wait(wait)
    cursor = _cursor(after)
    tag = _tag(cursor, chosen, limit, "compact" if compact else "whole" if old else "new")
    # Before the log is read: an unchanged page costs no read of it.
    if unchanged := _unchanged(request, cursor, tag):
        return unchanged
    return _page(request, cursor, models=chosen, limit=limit, wait=wait, old=old, compact=compact, tag=tag)


def _page(
    request: HttpRequest,
    cursor: Cursor | None,
    *,
    models: list[str],
    limit: int,
    wait: float,
    old: bool,
    compact: bool,
    tag: str | None,
) -> HttpResponse:
    """Return the answer with a page; a `Held` if the page is empty and the call may wait."""
    # Only this connection sees the caller's own transaction: the thread that looks for other calls would wait in vain.
    alone = connections[calls.using()].in_atomic_block
    page = changes.page(
        cursor,
        models=models,
        limit=limit,
        wait=wait if alone else 0.0,
        using=calls.using(),
        old=old,
        compact=compact,
        passing=wait > 0,
    )
    answer = functools.partial(_answer, compact=compact, tag=tag)
    if page.count or alone or not wait:
        return answer(page)
    asked = waiting.Question(after=page.cursor, models=tuple(models), limit=limit, old=old, compact=compact)
    return held_calls.Held(asked, calls.consumer(request), seconds=wait, answer=answer)


def _check_wait(wait: float) -> None:
    longest = conf.get().WAIT_LIMIT
    # A comparison that NaN fails as well.
    if not 0 <= wait <= longest:
        raise problems.invalid("wait", f"is from 0 to {longest:g} seconds.")


def _unchanged(request: HttpRequest, cursor: Cursor | None, tag: str | None) -> HttpResponse | None:
    """Return the answer 304 if the caller has the page of this tag already. Raises `CursorExpired`."""
    if cursor is None or tag is None or request.headers.get("If-None-Match") != tag:
        return None
    # The page has not changed, but retention may have dropped it: the reader has to know that its cursor has expired.
    expiry.check(cursor, feed.present(calls.using()))
    return HttpResponse(status=304, headers={"ETag": tag})


def _cursor(after: str | None) -> Cursor | None:
    if after == "now":
        return feed.present(calls.using()).cursor()
    return None if after in {None, "", "start"} else calls.cursor(str(after), "after")


def _answer(page: feed.Page, *, compact: bool, tag: str | None) -> HttpResponse:
    write = pages.write_compact if compact else pages.write
    answer = calls.answer(write(page.items, cursor=page.cursor.encode(), more=page.more))
    if tag:
        answer.headers["ETag"] = tag
    return answer


def _tag(cursor: Cursor | None, models: list[str], limit: int, form: str) -> str | None:
    """Return the ETag of a page within a window, which never changes; None for any other page."""
    # Any other page grows with the log.
    if cursor is None or cursor.window is None:
        return None
    # The models are part of it: the same URL shows other changes once a grant has changed.
    text = "\n".join([cursor.encode(), str(limit), form, *models])
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
