"""The trail for the API: the changes of an object or of a request, as JSON text that PostgreSQL writes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from pubsubpull.capture import hiding, sql, texts
from pubsubpull.log import sizes

if TYPE_CHECKING:
    import uuid
    from collections.abc import Collection

EARLIEST = -(2**63)
LATEST = 2**63 - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrailPage:
    """A page of an object's changes, newest first."""

    items: str
    """The changes as JSON objects, separated by commas."""
    last: int | None
    """The version of the oldest change that was examined; None if there was none."""
    full: bool
    """True if there may be older changes."""


def page(
    label: str, key: str, *, before: int | None = None, limit: int = 100, using: str = "default", **only: Any
) -> TrailPage:
    """Return a page of the changes of an object: its latest `limit` before the version `before`, filtered.

    `only` are filters: `user` (id or name), `since`, `until` and `column`. A page examines about 8 MB of changes at
    most, and so may be smaller.
    """
    asked = {**dict.fromkeys(("models", "since", "until", "user", "path", "column")), **only}
    query = sql.compose(
        "queries/history/trail",
        request=sql.template("queries/history/request_json").format(),
        op=texts.op_in_trail(),
        fits=sql.compose("queries/history/fits", hiding=hiding.labels_of(asked["column"]), **asked),
        old=hiding.shown("old", hiding.hidden([label])),
        new=hiding.shown("new", hiding.hidden([label])),
        model=label,
        key=key,
        before=LATEST if before is None else before,
        limit=limit,
        size=sizes.PAGE_BYTES,
    )
    # Limited in time: a consumer may ask for an object with millions of changes.
    ((count, last, items, cut),) = sql.run_within(using, query)
    return TrailPage(items=items, last=last, full=cut or count == limit)


def request(
    id: uuid.UUID,  # noqa: A002  the name of the column
    *,
    models: Collection[str],
    after: int | None = None,
    limit: int = 100,
    using: str = "default",
) -> str | None:
    """Return a request with up to `limit` of its changes in `models`, as JSON text; None if it has no such changes."""
    query = sql.compose(
        "queries/history/request_changes",
        request=sql.template("queries/history/request_json").format(),
        item=texts.item(),
        old=hiding.shown("old", hiding.hidden(models)),
        new=hiding.shown("new", hiding.hidden(models)),
        id=id,
        models=list(models),
        # Not 0: imported changes have ids below 0.
        after=EARLIEST if after is None else after,
        limit=limit,
        size=sizes.PAGE_BYTES,
    )
    rows = sql.run_within(using, query)
    # On the first page, no change means that this reader does not know the request. A later page may be empty.
    return rows[0][0] if rows and (rows[0][1] or after) else None
