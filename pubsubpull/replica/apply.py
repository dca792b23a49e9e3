"""Applying pages: laid out once, then one statement a replica, which PostgreSQL reads the values of."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from psycopg import sql as psql

from pubsubpull import exceptions
from pubsubpull.capture import sql
from pubsubpull.replica import statement

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pubsubpull.replica.declared import Replica
    from pubsubpull.replica.pages import Page

LAST = 2**62
"""Above any place in a page."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Columns:
    """Of the source's columns that a replica takes over: which some rows of a page lack, and which some have."""

    absent: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()


def lay(
    pages: Iterable[Page],
    *,
    sources: Collection[str],
    left_out: Collection[int] = (),
    relaxed: bool = False,
    using: str,
) -> int:
    """Lay out pages, one behind the other; return how many changes. `left_out` are versions to pass by."""
    pages = [page for page in pages if not page.empty]
    if not pages:
        return 0
    open_page(using, relaxed=relaxed)
    count = 0
    for number, page in enumerate(pages):
        ((laid,),) = sql.run_bound(
            using,
            "queries/replica/lay_changes",
            base=number << 32,
            body=page.body,
            models=list(sources),
            left_out=list(left_out),
        )
        count += laid
    return count


def versions(page: Page) -> list[int]:
    """Return the versions of a page's changes."""
    return [item["version"] for item in json.loads(page.body)["items"]]


def open_page(using: str, *, relaxed: bool = False) -> None:
    """Make the place for pages in this session, and empty it; `relaxed`, the commit does not wait for the disk."""
    files = ["queries/replica/open_page", *(["queries/replica/relax"] if relaxed else [])]
    sql.run(using, psql.SQL(";").join(map(sql.template, files)))


def state(replica: Replica, using: str) -> tuple[int, Columns]:
    """Return the place of the last truncate of the replica's source in the laid out page, and which columns it has."""
    wanted = sorted({*replica.source_columns, *([] if callable(replica.where) else replica.where or ())})
    query = sql.compose("queries/replica/page_state", source=replica.source, columns=wanted)
    ((truncated, rows, whole),) = sql.run(using, query)
    if whole:
        return truncated, Columns(present=frozenset(wanted if rows else ()))
    found = sql.run(using, sql.compose("queries/replica/absent", source=replica.source, columns=wanted))
    return truncated, Columns(
        absent=frozenset(name for name, lacks, _ in found if lacks),
        present=frozenset(name for name, _, has in found if has),
    )


def apply(replica: Replica, *, using: str, one_by_one: bool = False) -> Columns:
    """Apply the laid out page to a replica: of each row its last change, or `one_by_one` each change, in order."""
    found, (truncated, has) = statement.target(replica, using), state(replica, using)
    _check(replica, has)
    if one_by_one or has.absent & has.present:
        _apply_each(found, using)
        return has
    if truncated:
        sql.run(using, sql.compose("queries/replica/empty_table", target=found.relation))
    _apply(found, has.absent, after=truncated, upto=LAST, using=using)
    return has


def differences(replica: Replica, absent: Collection[str], *, using: str) -> list[tuple[str, str]]:
    """Say of which rows laid out the replica's differ: the key, and `missing`, `extra` or `different`."""
    found = statement.target(replica, using)
    written = statement.absent_as_default(replica, absent) if absent else replica.columns
    extra = _extra(replica, written, after=0, upto=LAST, using=using)
    return [
        (key, kind) for key, kind in sql.run(using, statement.differences(found, written, extra=extra, using=using))
    ]


def _check(replica: Replica, has: Columns) -> None:
    needed = {*replica.key_source, *([] if callable(replica.where) else replica.where or ())}
    if missing := sorted(needed & has.absent):
        raise exceptions.ReplicaError(
            f"{replica.name}: {replica.source} does not send {', '.join(missing)}, which the replica cannot do without."
        )


def _apply_each(found: statement.Target, using: str) -> None:
    places = sql.run(using, sql.compose("queries/replica/places_in_page", source=found.replica.source))
    wanted = set(found.replica.source_columns)
    for place, truncates in places:
        if truncates:
            sql.run(using, sql.compose("queries/replica/empty_table", target=found.relation))
            continue
        row = json.loads(_rows(found.replica, place - 1, place, using)[0][1] or "{}")
        _apply(found, wanted - set(row), after=place - 1, upto=place, using=using)


def _apply(found: statement.Target, absent: Collection[str], *, after: int, upto: int, using: str) -> None:
    replica = found.replica
    written = statement.absent_as_default(replica, absent) if absent else replica.columns
    extra = _extra(replica, written, after=after, upto=upto, using=using)
    sql.run(using, statement.apply(found, written, after=after, upto=upto, extra=extra, using=using))


def _extra(replica: Replica, written: Any, *, after: int, upto: int, using: str) -> str | None:
    """Return what the replica's functions make of the rows, as JSON text; None where it has none."""
    if not callable(replica.where) and not any(column.computed for column in written):
        return None
    rows = _rows(replica, after, upto, using)
    return json.dumps([_computed(replica, written, n, row, using) for n, row in rows], cls=statement.Encoder)


def _rows(replica: Replica, after: int, upto: int, using: str) -> list[tuple[int, str]]:
    query = sql.compose("queries/replica/rows", source=replica.source, after=after, upto=upto)
    return [(n, text) for n, text in sql.run(using, query)]


def _computed(replica: Replica, written: Any, n: int, text: str, using: str) -> dict[str, Any]:
    """Ask the replica's functions about one row."""
    row = json.loads(text, parse_float=Decimal)
    keep = bool(replica.where(row)) if callable(replica.where) else True
    data = {
        column.name: statement.prepared(column.field, column.source(row), using)
        for column in written
        if keep and column.computed
    }
    return {"n": n, "keep": keep, "data": data}
