"""The trail: what happened to an object, and what a request did. PostgreSQL writes the JSON."""

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
    """Some of an object's changes, newest first, as JSON text; `last` is the version of the last that was looked at.

    `full` says that there may be more.
    """

    items: str
    last: int | None
    full: bool


def page(
    label: str, key: str, *, before: int | None = None, limit: int = 100, using: str = "default", **only: Any
) -> TrailPage:
    """Look at the `limit` changes of one object before the version `before`, and return those that fit `only`.

    `only` may have a `user` (id or name), `since`, `until` and `column`. What is looked at has about 8 MB at most.
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
        size=sizes.PAGE,
    )
    ((count, last, items, cut),) = sql.run_within(using, query)
    return TrailPage(items=items, last=last, full=cut or count == limit)


def request(
    id: uuid.UUID,  # noqa: A002  what it is
    *,
    models: Collection[str],
    after: int | None = None,
    limit: int = 100,
    using: str = "default",
) -> str | None:
    """Return a request and at most `limit` of its changes in `models` as JSON text; None where it made none there."""
    query = sql.compose(
        "queries/history/request_changes",
        request=sql.template("queries/history/request_json").format(),
        item=texts.item(),
        old=hiding.shown("old", hiding.hidden(models)),
        new=hiding.shown("new", hiding.hidden(models)),
        id=id,
        models=list(models),
        after=EARLIEST if after is None else after,
        limit=limit,
        size=sizes.PAGE,
    )
    found = sql.run_within(using, query)
    return found[0][0] if found and (found[0][1] or after) else None
