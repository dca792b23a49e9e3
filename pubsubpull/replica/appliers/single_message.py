"""Small pages, as most are that were waited for: one message applies one, in a transaction of its own."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, TypeGuard

from django.db import connections
from psycopg import sql as psql

from pubsubpull.capture import sql
from pubsubpull.replica.appliers import staged
from pubsubpull.replica.tables import statements
from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pubsubpull.replica.cohorts import Cohort
    from pubsubpull.replica.declaration import Follows, Replica
    from pubsubpull.replica.pages import Page

logger = logging.getLogger(__name__)
SIZE = 2**16
"""The most characters of a small page. Each replica's statement reads all of it."""
KEPT = "small page"
_failed: set[tuple[str, str, str]] = set()
"""Where the latest page failed: PostgreSQL's log shows the statement that fails, and with it this page, once only."""


def advance(cohort: Cohort, page: Page, *, using: str) -> bool:
    """Apply a small page that is all plain; False where it is not, or anything is not as usual: nothing is done then.

    Plain is what needs nobody to look at it between two statements: no function of the user's, no truncate, no column
    that comes or goes.
    """
    place = (using, cohort.service, page.previous)
    if cohort.apart or len(page.body) > SIZE or connections[using].in_atomic_block or place in _failed:
        return False
    items = [] if page.empty else jsontext.loads(page.body)["items"]
    concerned = [follows for follows in cohort.replicas if any(item["model"] == follows.source for item in items)]
    replicas = [follows for follows in concerned if _is_plain(follows, items)]
    if len(replicas) < len(concerned):
        return False
    try:
        made = [_made(replica, using, rows=_only_rows(replica, items)) for replica in replicas]
        take = sql.compose(
            "queries/replica/take_page",
            service=cohort.service,
            names=[follows.name for follows in cohort.replicas],
            concerned=[replica.name for replica in replicas],
            before=cohort.cursor,
            upto=page.cursor,
            tables=json.dumps({relation: types for relation, types, _ in made}),
            body=page.body,
        )
        ((taken,),) = sql.run_each(using, take, *(applies for _, _, applies in made))[0]
    except Exception:
        logger.debug("%s: a small page after %s is applied with care", cohort.service, page.previous, exc_info=True)
        taken = False
        _failed.clear()
        _failed.add(place)
    if not taken:
        for replica in replicas:
            for rows in (True, False):
                replica.statements.pop((KEPT, using, rows), None)
    return bool(taken)


def _is_plain(follows: Follows, items: Sequence[dict[str, Any]]) -> TypeGuard[Replica]:
    if not staged.is_plain(follows):
        return False
    wanted, mine = set(staged.read_of(follows)), [item for item in items if item["model"] == follows.source]
    rows = [item["new"] for item in mine if item["op"] in {"insert", "update"}]
    deletes = sum(item["op"] == "delete" for item in mine)
    return len(rows) + deletes == len(mine) and all(wanted <= row.keys() for row in rows)


def _only_rows(replica: Replica, items: Sequence[dict[str, Any]]) -> bool:
    """Say whether a page leaves all of the replica's rows there, and has none twice."""
    mine = [item for item in items if item["model"] == replica.source]
    twice = len({item["key"] for item in mine}) < len(mine)
    return not replica.where and not twice and all(item["op"] != "delete" for item in mine)


def _made(replica: Replica, using: str, *, rows: bool) -> tuple[str, dict[str, str], psql.SQL]:
    """Return the replica's table, its columns' types, and the statement that was made for these."""
    kept, of = replica.statements, (KEPT, using, rows)
    made = kept.get(of)  # another thread may forget it at any time
    if made is None:
        found = statements.target(replica, using)
        page = psql.SQL("({}) AS small").format(sql.template("queries/replica/small_page"))
        if rows:
            applies = statements.upsert(found, page, using)
        else:
            applies = statements.apply(
                found, replica.columns, after=0, upto=staged.LAST, extra=None, using=using, page=page
            )
        text = psql.SQL(applies.as_string(connections[using].connection))
        made = kept[of] = (found.relation.as_string(), dict(found.types), text)
    return made
