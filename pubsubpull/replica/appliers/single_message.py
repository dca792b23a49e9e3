"""Small pages, as most are that were waited for: one message to PostgreSQL applies one, in its own transaction."""

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
KEPT_AS = "single message"
"""The first part of the key under which a table's statements are kept."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    """A table, and the statement that was made for it as it is."""

    relation: str
    """The table's name, quoted."""
    types: dict[str, str]
    """The types of its columns, which are compared again when the page is applied."""
    statement: psql.SQL
    """The statement that applies the page that the message has set."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SingleMessage:
    """Applies a small page whose effects are plain.

    Nothing can be looked at between two statements of one message: a function of the user's, a truncate, or a column
    that comes or goes is for another applier.
    """

    name: ClassVar[str] = "single_message"
    sizes: Sizes = STANDARD_SIZES

    def apply(self, cohort: Cohort, page: Page, *, using: str) -> Outcome:
        """Apply the page; whatever is unusual is declined."""
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
            # Swallowed: the applier that comes next finds out whose failure it is, or that the database is away.
            logger.debug("%s: one message did not apply a page", cohort.service, exc_info=True)
            taken = False
        if taken:
            return Applied.up_to(page)
        _forget(tables, using)
        return Declined("the message did not apply it")

    def _unfit(self, cohort: Cohort, page: Page, using: str) -> str:
        """Return why the page is not tried; nothing if it is."""
        if cohort.failing:
            return "a replica has failed on it: PostgreSQL would log the page once more"
        if cohort.apart:
            return "changes of it may be set aside"
        if len(page.body) > self.sizes.small_page:
            return "it is large"
        if connections[using].in_atomic_block:
            return "a transaction is open already"
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
    # The order matters: taking the page locks the positions, and sets the page for the statements behind it, or an
    # empty one if the cohort is elsewhere.
    ((taken,),) = sql.run_each(using, take, *(each.statement for each in prepared.values()))[0]
    return bool(taken)


def _forget(tables: Iterable[Replica], using: str) -> None:
    """Forget the statements that did not do: the tables may have been altered."""
    for replica in tables:
        for rows in (True, False):
            replica.statements.pop((KEPT_AS, using, rows), None)


def _is_plain(effect: Effect, items: Sequence[dict[str, Any]]) -> bool:
    if not effect.plain():
        return False
    wanted, own = effect.reads(), [item for item in items if item["model"] == effect.source]
    rows = [item["new"] for item in own if item["op"] in {"insert", "update"}]
    deletes = sum(item["op"] == "delete" for item in own)
    return len(rows) + deletes == len(own) and all(wanted <= row.keys() for row in rows)


def _only_rows(replica: Replica, items: Sequence[dict[str, Any]]) -> bool:
    """Return True if a page removes no row of the table, and has none twice."""
    own = [item for item in items if item["model"] == replica.source]
    twice = len({item["key"] for item in own}) < len(own)
    return not replica.where and not twice and all(item["op"] != "delete" for item in own)


def _prepared(replica: Replica, using: str, *, rows: bool) -> Prepared:
    """Return the statement for the table, made once for as long as it does."""
    kept: Prepared | None = replica.statements.get((KEPT_AS, using, rows))  # read once: threads may forget it any time
    if kept is None:
        target = values.target(replica, using)
        page = psql.SQL("({}) AS small").format(sql.template("queries/replica/small_page"))
        if rows:
            statement = statements.upsert(target, page, using)
        else:
            statement = statements.merge(target, replica.columns, table.ALL, extra=None, using=using, page=page)
        text = psql.SQL(statement.as_string(connections[using].connection))
        kept = Prepared(relation=target.relation.as_string(), types=dict(target.types), statement=text)
        replica.statements[KEPT_AS, using, rows] = kept
    return kept
