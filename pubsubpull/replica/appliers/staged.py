"""Applying pages: laid out once, then one statement a replica, which PostgreSQL reads the values of."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, TypeGuard

from django.db import connections
from psycopg import sql as psql

from pubsubpull import exceptions
from pubsubpull.capture import sql
from pubsubpull.replica import declaration, handlers
from pubsubpull.replica.tables import removal, statements, writing
from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pubsubpull.replica.declaration import Column, Follows, Replica
    from pubsubpull.replica.pages import Page


class Unreadable(exceptions.ReplicaFailed):
    """PostgreSQL does not read a page: a value in it is too large or nested too deep for this server."""


LAST = 2**62
"""Above any place in a page."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Columns:
    """Of the source's columns that a replica takes over: which some rows of a page lack, and which some have."""

    absent: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()
    uncaptured: bool = False
    """Whether rows may have changed at the source without changes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Laid:
    """What is laid out of a source: the place of its last truncate, 0 for none; how many rows, each `whole` or not.

    `uncaptured`: rows may have changed without changes.
    """

    truncated: int = 0
    rows: int = 0
    whole: bool = True
    uncaptured: bool = False

    def and_then(self, truncated: int, rows: int, whole: bool, uncaptured: bool) -> Laid:
        """Return what is laid out with another page behind."""
        return Laid(
            truncated=max(self.truncated, truncated),
            rows=self.rows + rows,
            whole=self.whole and whole,
            uncaptured=self.uncaptured or uncaptured,
        )


def lay(
    pages: Iterable[Page], *, replicas: Iterable[Follows], left_out: Collection[int] = (), using: str
) -> dict[str, Laid]:
    """Lay out pages, one behind the other; return what there is, by source. `left_out` are versions to pass by."""
    wanted: dict[str, set[str]] = {}
    for replica in replicas:
        wanted.setdefault(replica.source, set()).update(read_of(replica))
    given = {
        "models": list(wanted),
        "wanted": json.dumps({source: sorted(names) for source, names in wanted.items()}),
        "left_out": list(left_out),
    }
    laid: dict[str, Laid] = {}
    for number, page in enumerate(pages):
        query = sql.template("queries/replica/lay_changes")
        for source, *found in sql.run_bound(using, query, base=number << 32, body=page.body, **given):
            laid[source] = laid.get(source, Laid()).and_then(*found)
    return laid


def versions(page: Page) -> list[int]:
    """Return the versions of a page's changes."""
    return [item["version"] for item in jsontext.loads(page.body)["items"]]


def opening(*, relaxed: bool = False) -> list[psql.SQL]:
    """Return what makes the place for pages in a session, and empties it; `relaxed`, no commit waits for the disk."""
    files = ["queries/replica/open_page", *(["queries/replica/relax"] if relaxed else [])]
    return [sql.template(file) for file in files]


def open_page(using: str) -> None:
    """Make the place for pages in this session, and empty it."""
    sql.run_each(using, *opening())


def read_of(replica: Follows) -> list[str]:
    """Return the source columns that are read for a replica."""
    if not isinstance(replica, declaration.Replica):
        return []
    return sorted({*replica.source_columns, *([] if callable(replica.where) else replica.where or ())})


def is_plain(follows: Follows) -> TypeGuard[Replica]:
    """Say whether it has a table that PostgreSQL fills by itself: nobody looks at a row or at a change."""
    if not isinstance(follows, declaration.Replica) or follows.write is not None:
        return False
    return not follows.in_python and not handlers.of(follows)


def _columns(replica: Replica, laid: Laid, using: str) -> Columns:
    """Say which of the replica's source columns the laid out rows have, and which they lack."""
    wanted = read_of(replica)
    if laid.whole:
        return Columns(present=frozenset(wanted if laid.rows else ()))
    found = sql.run(using, sql.compose("queries/replica/absent", source=replica.source, columns=wanted))
    return Columns(
        absent=frozenset(name for name, lacks, _ in found if lacks),
        present=frozenset(name for name, _, has in found if has),
    )


def _look(replica: Replica, using: str) -> Laid:
    query = sql.compose("queries/replica/page_state", source=replica.source, columns=read_of(replica))
    ((truncated, rows, whole, uncaptured),) = sql.run(using, query)
    return Laid(truncated=truncated, rows=rows, whole=whole, uncaptured=uncaptured)


def apply(
    replica: Replica,
    *,
    laid: Laid | None = None,
    types: Mapping[str, str] | None = None,
    using: str,
    one_by_one: bool = False,
) -> Columns:
    """Apply the laid out page to a replica: of each row its last change, or `one_by_one` each change, in order.

    `types` are those of its table's columns, where they are known.
    """
    laid = laid or _look(replica, using)
    found = statements.target(replica, using, types=types)
    has = dataclasses.replace(_columns(replica, laid, using), uncaptured=laid.uncaptured)
    _check(replica, has)
    if one_by_one or has.absent & has.present:
        _apply_each(found, using)
        return has
    if laid.truncated:
        _empty(found, using)
    _apply(found, has.absent, after=laid.truncated, upto=LAST, using=using)
    return has


def differences(replica: Replica, absent: Collection[str], *, using: str) -> list[tuple[str, str]]:
    """Say of which rows laid out the replica's differ: the key, and `missing`, `extra` or `different`."""
    found = statements.target(replica, using)
    written = _written(replica, absent)
    extra = _extra(replica, written, after=0, upto=LAST, using=using)
    return [
        (key, kind) for key, kind in sql.run(using, statements.differences(found, written, extra=extra, using=using))
    ]


def _check(replica: Replica, has: Columns) -> None:
    needed = {*replica.key_source, *([] if callable(replica.where) else replica.where or ())}
    if missing := sorted(needed & has.absent):
        raise exceptions.ReplicaError(
            f"{replica.name}: {replica.source} does not send {', '.join(missing)}, which the replica cannot do without."
        )


def _apply_each(found: statements.Target, using: str) -> None:
    places = sql.run(using, sql.compose("queries/replica/places_in_page", source=found.replica.source))
    wanted = set(found.replica.source_columns)
    for place, truncates in places:
        if truncates:
            _empty(found, using)
            continue
        rows = _rows(found.replica, place - 1, place, using)
        absent = wanted - set(jsontext.loads(rows[0][1] or "{}")) if rows else set()  # a delete writes no column
        _apply(found, absent, after=place - 1, upto=place, using=using)


def _empty(found: statements.Target, using: str) -> None:
    if found.replica.write is not None:
        writing.hand_over(found.replica, [writing.TRUNCATE])
        return
    parts = removal.parts(found.replica, found.relation)
    sql.run(using, sql.compose("queries/replica/empty_table", clearing=parts["clearing"], removable=parts["removable"]))


def _apply(found: statements.Target, absent: Collection[str], *, after: int, upto: int, using: str) -> None:
    if found.replica.write is not None:
        written = _written(found.replica, absent)
        extra = _extra(found.replica, written, after=after, upto=upto, using=using)
        writes = writing.laid_out(found, written, after=after, upto=upto, extra=extra, using=using)
        writing.hand_over(found.replica, writes)
        return
    if found.replica.in_python or (after, upto) != (0, LAST):
        sql.run(using, _statement(found, absent, after=after, upto=upto, using=using))
        return
    # The same for each page, as long as the table is the same: put together once.
    kept, of = found.replica.statements, (*found.types.items(), *sorted(absent))
    made = kept.get(of)  # another thread may forget it at any time
    if made is None:
        composed = _statement(found, absent, after=after, upto=upto, using=using)
        made = kept[of] = psql.SQL(composed.as_string(connections[using].connection))
    sql.run(using, made)


def _statement(found: statements.Target, absent: Collection[str], *, after: int, upto: int, using: str) -> Any:
    written = _written(found.replica, absent)
    extra = _extra(found.replica, written, after=after, upto=upto, using=using)
    return statements.apply(found, written, after=after, upto=upto, extra=extra, using=using)


def _written(replica: Replica, absent: Collection[str]) -> tuple[Column, ...]:
    return statements.absent_as_default(replica, absent) if absent else replica.columns


def _extra(replica: Replica, written: Any, *, after: int, upto: int, using: str) -> str | None:
    """Return what the replica's functions make of the rows, as JSON text; None where it has none."""
    if not callable(replica.where) and not any(column.computed for column in written):
        return None
    rows = _rows(replica, after, upto, using)
    return json.dumps([_computed(replica, written, n, row, using) for n, row in rows], cls=statements.Encoder)


def _rows(replica: Replica, after: int, upto: int, using: str) -> list[tuple[int, str]]:
    query = sql.compose("queries/replica/rows", source=replica.source, after=after, upto=upto)
    return [(n, text) for n, text in sql.run(using, query)]


def _computed(replica: Replica, written: Any, n: int, text: str, using: str) -> dict[str, Any]:
    """Ask the replica's functions about one row."""
    row = jsontext.row(text)
    keep = bool(replica.where(row)) if callable(replica.where) else True
    data = {
        column.name: statements.prepared(column.field, column.source(row), using)
        for column in written
        if keep and column.computed
    }
    return {"n": n, "keep": keep, "data": data}
