"""Triggers: derived from what is published, and reconciled with what is in the database."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from typing import TYPE_CHECKING, Any, LiteralString

from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, connections, router
from psycopg import sql as psql

from pubsubpull import conf
from pubsubpull.capture import feed, functions, patience, registry, sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pubsubpull.capture.registry import Publication

PREFIX = "00_pubsubpull_"
"""Triggers fire in the order of their names: ours must see a row before others write."""

FIRST = ("pubsubpull", "0001_log")
"""The migration that made the log, and takes it away."""

Place = tuple[str, str, str]
"""Where a trigger is: schema, table, name."""

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
    def place(self) -> Place:
        """Where the trigger is."""
        return self.schema, self.table, self.name

    @property
    def fingerprint(self) -> str:
        """A hash of the text that makes the trigger."""
        return "pubsubpull:" + hashlib.sha256(self.statement.as_string().encode()).hexdigest()[:32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Action:
    """One step that makes the database agree with what is published. `verb` is create, replace or drop.

    One for a function of the log has no table.
    """

    verb: str
    schema: str
    table: str
    name: str
    trigger: Trigger | None = None
    function: functions.Function | None = None

    def __str__(self) -> str:
        if self.function is not None:
            return f"{self.verb} the function {self.schema}.{self.name}"
        return f"{self.verb} {self.name} on {self.schema}.{self.table}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What there is, and what is to do."""

    wanted: tuple[Trigger, ...]
    tables: dict[str, Facts]
    """By their models' labels."""
    actions: tuple[Action, ...]
    without_table: tuple[str, ...]
    """The labels of published models that have no table here."""
    taken: tuple[str, ...]
    """Tables, each with the schema of another log that captures it: their triggers stay as they are."""

    def gaps(self, using: str) -> list[str]:
        """Say what is published and not captured here, and cannot be."""
        found = [f"{label} is published but has no table in the database {using}" for label in self.without_table]
        return found + [f"{table}, is captured already: a table is captured into one log" for table in self.taken]


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
    there, others = _there(schema, using)
    taken = {(one.schema, one.table): others[one.place] for one in needed if one.place in others}
    needed = [one for one in needed if (one.schema, one.table) not in taken]
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
    actions[:0] = _replacing(functions.state(schema, using).differing, schema)
    return Plan(
        wanted=tuple(needed),
        tables=tables,
        actions=tuple(actions),
        without_table=tuple(without),
        taken=tuple(f"{s}.{t}, into the log of the schema {log}" for (s, t), log in sorted(taken.items())),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Synced:
    """What was done, and what is left, since its tables were in use all the while."""

    done: tuple[Action, ...] = ()
    left: tuple[Action, ...] = ()


def sync(
    using: str = DEFAULT_DB_ALIAS, *, wait: float | None = None, say: Callable[[str], None] = logger.warning
) -> Synced:
    """Create, replace and drop triggers until the database agrees with what is published.

    All of a table's triggers change in one transaction, and each table in its own. No writer waits behind it: a lock is
    waited for a moment, and asked for again and again, for `wait` seconds (without, as the setting LOCK_WAIT says) in
    all. `say` is told who holds it up.
    """
    found = plan(using)
    if found is None:
        return Synced()
    for gap in found.gaps(using):
        logger.warning("pubsubpull: %s", gap)
    return perform(found.actions, using, wait=wait, say=say)


def perform(
    actions: Sequence[Action], using: str, *, wait: float | None = None, say: Callable[[str], None] = logger.warning
) -> Synced:
    """Do what a plan names, as `sync` does: the functions first, since triggers may fail without them."""
    functions.replace(tuple(action.function for action in actions if action.function), using)
    tables: dict[tuple[str, str], list[Action]] = {}
    for action in actions:
        if action.function is None:
            tables.setdefault((action.schema, action.table), []).append(action)

    def attempt(table: tuple[str, str]) -> bool:
        drops = any(action.verb == "drop" for action in tables[table])
        mode: LiteralString = "ACCESS EXCLUSIVE" if drops else "SHARE ROW EXCLUSIVE"

        def work() -> None:
            for action in tables[table]:
                _do(action, using)

        return patience.change(table, work, mode=mode, using=using)

    def waiting(left: list[tuple[str, str]]) -> None:
        for schema, table in left:
            held = patience.holders((schema, table), using) or "others, one after the other,"
            say(f"pubsubpull: the triggers of {schema}.{table} wait for {held} to let go of it")

    within = conf.get().LOCK_WAIT if wait is None else wait
    left = set(patience.each(tables, attempt, within=within, waiting=waiting))
    for schema, table in sorted(left):
        say(
            f"pubsubpull: the triggers of {schema}.{table} are as they were: for {within:g} s others had it locked. "
            "The next migrate, or pubsubpull_triggers --sync, does it."
        )
    return Synced(
        done=tuple(one for one in actions if (one.schema, one.table) not in left),
        left=tuple(one for one in actions if (one.schema, one.table) in left),
    )


def after_migrate(*, using: str, plan: Sequence[tuple[Any, bool]] = (), **_: Any) -> None:
    """Reconcile the triggers after each `migrate`, and start the log's history where it has none.

    Where the log has just gone, one that is further along the search path is another service's.
    """
    if not _goes(plan) and log_schema(using) is not None:
        sync(using)
        if not connections[using].in_atomic_block:
            feed.present(using)


def before_migrate(*, using: str, plan: Sequence[tuple[Any, bool]] = (), **_: Any) -> None:
    """Have the functions follow a schema that was renamed, so that migrations may write.

    Drop the triggers one table at a time where all of pubsubpull is to go: in one transaction, writers would wait.
    Raises `CommandError` where one cannot be dropped in time; the log is left as it is then.
    """
    schema = log_schema(using)
    if schema is None:
        return
    functions.replace(functions.state(schema, using).moved, using)
    if not _goes(plan):
        return
    mine, _others = _there(schema, using)
    actions = [Action(verb="drop", schema=s, table=t, name=n) for s, t, n in mine]
    if left := perform(actions, using).left:
        tables = ", ".join(sorted({f"{one.schema}.{one.table}" for one in left}))
        raise CommandError(
            f"The triggers of {tables} could not be dropped, since others had the table locked. The log is still "
            "there, and what is written there is captured. Run the command again."
        )


def _goes(plan: Sequence[tuple[Any, bool]]) -> bool:
    """Say whether the log is taken away."""
    return any(backwards and (one.app_label, one.name) == FIRST for one, backwards in plan)


def _there(schema: str, using: str) -> tuple[dict[Place, str | None], dict[Place, str]]:
    """Return the triggers that write to the log in `schema` with their fingerprints, and others' with their schemas."""
    rows = sql.run(using, sql.template("queries/triggers"))
    mine: dict[Place, str | None] = {(s, t, n): mark for s, t, n, mark, log in rows if log == schema}
    return mine, {(s, t, n): log for s, t, n, _, log in rows if log != schema}


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


def _replacing(made: Sequence[functions.Function], schema: str) -> list[Action]:
    return [Action(verb="replace", schema=schema, table="", name=one.name, function=one) for one in made]


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
