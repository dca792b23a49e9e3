"""The applier of small pages, the usual ones of a live feed: one message to PostgreSQL, in one transaction."""

from __future__ import annotations

import dataclasses
import json
import logging
from typing import TYPE_CHECKING, Any, ClassVar

from django.db import connections
from psycopg import sql as psql

from pubsubpull.capture import sql
from pubsubpull.replica.appliers.base import Applied, Declined
from pubsubpull.replica.sizes import STANDARD_SIZES, Sizes
from pubsubpull.replica.tables import statements, table, values
from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pubsubpull.replica.appliers.base import Outcome
    from pubsubpull.replica.cohorts import Cohort
    from pubsubpull.replica.declaration import Replica
    from pubsubpull.replica.effects import Effect
    from pubsubpull.replica.pages import Page

logger = logging.getLogger(__name__)
MESSAGE_STATEMENT = "single message"
"""The first part of the keys of these statements in `Replica.statements`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    """A table with its statement, prepared for the types that its columns have now."""

    relation: str
    """The table's name, quoted."""
    types: dict[str, str]
    """The types of its columns. The message compares them with the catalogue before it applies the page."""
    statement: psql.SQL
    """The statement that applies the page of the message."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SingleMessage:
    """Applies a small page to plain effects.

    Python sees no result between two statements of one message. Therefore functions of the user, truncates, and
    columns that appear or disappear are left to another applier.
    """

    name: ClassVar[str] = "single_message"
    sizes: Sizes = STANDARD_SIZES
    """Limits the length of a page."""

    def apply(self, cohort: Cohort, page: Page, *, using: str) -> Outcome:
        """Apply the page, or decline it if anything about it is unusual."""
        if reason := self._unfit(cohort, page, using):
            return Declined(reason)
        items = [] if page.empty else jsontext.loads(page.body)["items"]
        concerned = [effect for effect in cohort.effects if any(item["model"] == effect.source for item in items)]
        if not all(_is_plain(effect, items) for effect in concerned):
            return Declined("an effect has to look at a row or a change")
        tables = [effect.table for effect in concerned if effect.table]
        try:
            taken = _send(cohort, page, {t.name: _prepared(t, using, rows=_only_rows(t, items)) for t in tables}, using)
        except Exception:
            # Swallowed: the next applier finds the failing replica, or that the database is unavailable.
            logger.debug("%s: one message did not apply a page", cohort.service, exc_info=True)
            taken = False
        if taken:
            return Applied.up_to(page)
        _forget(tables, using)
        return Declined("the message did not apply the page")

    def _unfit(self, cohort: Cohort, page: Page, using: str) -> str:
        """Return the reason for which the page is not tried; an empty text if it is tried."""
        if cohort.failing:
            return "a replica has failed on the page: PostgreSQL would log its contents again"
        if cohort.apart:
            return "some of its changes may be set aside"
        if len(page.body) > self.sizes.small_page:
            return "the page is large"
        if connections[using].in_atomic_block:
            return "a transaction is open already"  # The message ends with a commit of its own.
        return ""


def _send(cohort: Cohort, page: Page, prepared: dict[str, Prepared], using: str) -> bool:
    take = sql.compose(
        "queries/replica/take_page",
        service=cohort.service,
        names=[effect.name for effect in cohort.members],
        concerned=list(prepared),
        before=cohort.cursor,
        upto=page.cursor,
        tables=json.dumps({each.relation: each.types for each in prepared.values()}),
        body=page.body,
    )
    # The order matters. Taking the page locks the positions and hands the page to the statements after it. If the
    # cohort has moved, it hands them an empty page.
    ((taken,),) = sql.run_each(using, take, *(each.statement for each in prepared.values()))[0]
    return bool(taken)


def _forget(tables: Iterable[Replica], using: str) -> None:
    """Forget the statements of tables: after a failure, the tables may have been altered."""
    for replica in tables:
        for rows in (True, False):
            replica.statements.pop((MESSAGE_STATEMENT, using, rows), None)


def _is_plain(effect: Effect, items: Sequence[dict[str, Any]]) -> bool:
    if not effect.plain():
        return False
    wanted, own = effect.reads(), [item for item in items if item["model"] == effect.source]
    rows = [item["new"] for item in own if item["op"] in {"insert", "update"}]
    deletes = sum(item["op"] == "delete" for item in own)
    return len(rows) + deletes == len(own) and all(wanted <= row.keys() for row in rows)


def _only_rows(replica: Replica, items: Sequence[dict[str, Any]]) -> bool:
    """Return True if a page removes no row of the table and has no row twice."""
    own = [item for item in items if item["model"] == replica.source]
    twice = len({item["key"] for item in own}) < len(own)
    return not replica.where and not twice and all(item["op"] != "delete" for item in own)


def _prepared(replica: Replica, using: str, *, rows: bool) -> Prepared:
    """Return the cached statement for the table, or build it."""
    kept: Prepared | None = replica.statements.get(
        (MESSAGE_STATEMENT, using, rows)
    )  # Read once: another thread may remove it.
    if kept is None:
        target = values.target(replica, using)
        page = psql.SQL("({}) AS small").format(sql.template("queries/replica/small_page"))
        if rows:
            statement = statements.upsert(target, page, using)
        else:
            statement = statements.merge(
                target, replica.columns, table.ALL_ORDINALS, extra=None, using=using, page=page
            )
        text = psql.SQL(statement.as_string(connections[using].connection))
        kept = Prepared(relation=target.relation.as_string(), types=dict(target.types), statement=text)
        replica.statements[MESSAGE_STATEMENT, using, rows] = kept
    return kept
