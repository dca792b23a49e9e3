"""Triggers: derived from what is published, and reconciled with what is in the database."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS, connections, router, transaction
from psycopg import sql as psql

from pubsubpull.capture import feed, registry, sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pubsubpull.capture.registry import Publication

PREFIX = "00_pubsubpull_"
"""Triggers fire in the order of their names: ours must see a row before others write."""

logger = logging.getLogger("pubsubpull")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """What decides how a table is captured."""

    schema: str
    table: str
    partitioned: bool
    row_triggers: tuple[str, ...]
    cascades: tuple[str, ...]
    computed: tuple[str, ...]
    guarded: tuple[str, ...]
    partitions: tuple[tuple[str, str], ...]

    def level(self, asked: registry.Level) -> registry.Level:
        """Return `row` or `statement`: what was asked for, or what the table needs."""
        if asked != "auto":
            return asked
        return "row" if self.reasons() else "statement"

    def reasons(self) -> list[str]:
        """Say why a statement's trigger would not do for this table; empty where it would."""
        found = [f"its row trigger {name}" for name in self.row_triggers]
        found += [f"the foreign key {name} changes rows when a key moves" for name in self.cascades]
        if self.partitioned:
            found.append("it is partitioned, and a write may name a partition")
        found += [
            f"its json column {name} may hold what jsonb cannot, and the write would fail" for name in self.guarded
        ]
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trigger:
    """A trigger that should be there; `statement` creates or replaces it."""

    schema: str
    table: str
    name: str
    statement: psql.Composed

    @property
    def place(self) -> tuple[str, str, str]:
        """Where the trigger is."""
        return self.schema, self.table, self.name

    @property
    def fingerprint(self) -> str:
        """A hash of the text that makes the trigger."""
        return "pubsubpull:" + hashlib.sha256(self.statement.as_string().encode()).hexdigest()[:32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Action:
    """One step that makes the database agree with what is published. `verb` is create, replace or drop."""

    verb: str
    schema: str
    table: str
    name: str
    trigger: Trigger | None = None

    def __str__(self) -> str:
        return f"{self.verb} {self.name} on {self.schema}.{self.table}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What there is, what is to do, the tables by their models' labels, and which published models have none here."""

    wanted: tuple[Trigger, ...]
    tables: dict[str, Facts]
    actions: tuple[Action, ...]
    without_table: tuple[str, ...]


def facts(publication: Publication, using: str = DEFAULT_DB_ALIAS) -> Facts | None:
    """Look at a published model's table; None where it does not exist."""
    return facts_of([publication], using)[0]


def facts_of(published: Sequence[Publication], using: str) -> list[Facts | None]:
    """Look at the tables of published models, in one query; None for each that does not exist."""
    relations = [psql.Identifier(*filter(None, one.table)).as_string() for one in published]
    rows = sql.run(using, sql.compose("queries/table_facts", relations=relations)) if relations else []
    found = {place: _facts(*row) for place, *row in rows}
    return [found.get(place) for place in range(1, len(relations) + 1)]


def publications(using: str) -> Iterator[Publication]:
    """Give the publications whose tables belong into the database `using`."""
    for publication in registry.all_publications().values():
        meant = publication.using is None or using in publication.using
        if meant and router.allow_migrate_model(using, publication.model):
            yield publication


def log_schema(using: str) -> str | None:
    """Return the schema of the log in the database `using`, None where there is no log."""
    if connections[using].vendor != "postgresql":
        return None
    ((schema,),) = sql.run(using, sql.template("queries/log_schema"))
    return None if schema is None else str(schema)


def wanted(publication: Publication, table: Facts, *, schema: str) -> list[Trigger]:
    """Return the triggers that capture one table; `schema` is the log's."""
    arguments = psql.SQL(", ").join(
        psql.Literal(text)
        for text in (
            publication.label,
            _array(publication.key_columns),
            _array([*publication.excluded_columns, *table.computed]),
            _array(publication.masked_columns),
            *([_array([*table.guarded])] if table.guarded else []),
        )
    )

    def make(kind: str, place: tuple[str, str]) -> Trigger:
        name = PREFIX + kind
        statement = sql.compose(
            f"triggers/{kind}",
            name=psql.Identifier(name),
            table=psql.Identifier(*place),
            schema=psql.Identifier(schema),
            arguments=arguments,
        )
        return Trigger(schema=place[0], table=place[1], name=name, statement=statement)

    place = (table.schema, table.table)
    kinds = ["row"] if table.level(publication.level) == "row" else ["insert", "update", "delete"]
    found = [make(kind, place) for kind in [*kinds, "truncate"]]
    return found + [make("truncate_partition", partition) for partition in table.partitions]


def plan(using: str = DEFAULT_DB_ALIAS) -> Plan | None:
    """Compare what is published with what is in the database; None where the database has no log."""
    schema = log_schema(using)
    if schema is None:
        return None
    needed: list[Trigger] = []
    tables: dict[str, Facts] = {}
    without: list[str] = []
    published = list(publications(using))
    for publication, table in zip(published, facts_of(published, using), strict=True):
        if table is None:
            without.append(publication.label)
        else:
            tables[publication.label] = table
            needed += wanted(publication, table, schema=schema)
    there = {(s, t, n): mark for s, t, n, mark in sql.run(using, sql.template("queries/triggers"))}
    actions = [
        Action(verb="drop", schema=s, table=t, name=n)
        for s, t, n in there.keys() - {trigger.place for trigger in needed}
    ]
    for trigger in needed:
        if trigger.place not in there:
            actions.append(_make("create", trigger))
        elif there[trigger.place] != trigger.fingerprint:
            actions.append(_make("replace", trigger))
    actions.sort(key=lambda action: (action.schema, action.table, action.name))
    return Plan(wanted=tuple(needed), tables=tables, actions=tuple(actions), without_table=tuple(without))


def sync(using: str = DEFAULT_DB_ALIAS) -> tuple[Action, ...]:
    """Create, replace and drop triggers until the database agrees with what is published; return what was done.

    All of a table's triggers change in one transaction, and each table in its own, so that no lock is held for long.
    """
    found = plan(using)
    if found is None:
        return ()
    for label in found.without_table:
        logger.warning("pubsubpull: %s is published but has no table in the database %s", label, using)
    tables: dict[tuple[str, str], list[Action]] = {}
    for action in found.actions:
        tables.setdefault((action.schema, action.table), []).append(action)
    for actions in tables.values():
        with transaction.atomic(using=using):
            for action in actions:
                _do(action, using)
    return found.actions


def after_migrate(*, using: str, **_: Any) -> None:
    """Reconcile the triggers after each `migrate`, and start the log's history where it has none."""
    if log_schema(using) is not None:
        sync(using)
        if not connections[using].in_atomic_block:
            feed.present(using)


def _facts(schema: str, table: str, partitioned: bool, *rest: list[Any]) -> Facts:
    row_triggers, cascades, computed, guarded, partitions = rest
    return Facts(
        schema=schema,
        table=table,
        partitioned=partitioned,
        row_triggers=tuple(row_triggers),
        cascades=tuple(cascades),
        computed=tuple(computed),
        guarded=tuple(guarded),
        partitions=tuple((a, b) for a, b in partitions),
    )


def _make(verb: str, trigger: Trigger) -> Action:
    return Action(verb=verb, schema=trigger.schema, table=trigger.table, name=trigger.name, trigger=trigger)


def _do(action: Action, using: str) -> None:
    place = {"name": psql.Identifier(action.name), "table": psql.Identifier(action.schema, action.table)}
    if action.trigger is None:
        sql.run(using, sql.compose("triggers/drop", **place))
        return
    sql.run(using, action.trigger.statement)
    sql.run(using, sql.compose("triggers/comment", **place, fingerprint=action.trigger.fingerprint))


def _array(names: list[str]) -> str:
    r"""Return names as a PostgreSQL array literal: [] → {}, ["a", 'b"'] → {"a","b\""}."""
    quoted = ('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names)
    return "{" + ",".join(quoted) + "}"
