"""Triggers: derived from what is published, and reconciled with what is in the database."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from typing import TYPE_CHECKING, LiteralString

from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, connections, router
from psycopg import sql as psql

from pubsubpull import conf
from pubsubpull.capture import functions, lock_retries, registry, sql, tables
from pubsubpull.capture.arguments import Arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pubsubpull.capture.registry import Publication
    from pubsubpull.capture.tables import Facts

PREFIX = "00_pubsubpull_"
"""Triggers fire in the order of their names: ours must see a row before others write."""

Place = tuple[str, str, str]
"""Where a trigger is: schema, table, name."""

logger = logging.getLogger("pubsubpull")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trigger:
    """A trigger that should be there; `statement` creates or replaces it."""

    schema: str
    table: str
    name: str
    statement: psql.Composed
    arguments: Arguments

    @property
    def place(self) -> Place:
        """Where the trigger is."""
        return self.schema, self.table, self.name

    @property
    def fingerprint(self) -> str:
        """A hash of the text that makes the trigger."""
        return "pubsubpull:" + hashlib.sha256(self.statement.as_string().encode()).hexdigest()[:32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class InPlace:
    """A trigger that is there: what it was made from, None where it is disabled, its log's schema, its arguments."""

    fingerprint: str | None
    log: str
    arguments: Arguments


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
    refused: dict[str, str]
    """The labels of published models whose tables cannot be captured, each with the reason."""
    exposed: dict[str, tuple[str, ...]]
    """By label, the columns that are to be hidden, and that the triggers in place still show."""

    def gaps(self, using: str) -> list[str]:
        """Say what is published and not captured here, and cannot be."""
        found = [f"{label} is published but has no table in the database {using}" for label in self.without_table]
        found += [f"{table}, is captured already: a table is captured into one log" for table in self.taken]
        return found + [f"{label} is published but not captured: {reason}" for label, reason in self.refused.items()]


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
    ((schema,),) = sql.run(using, sql.template("queries/capture/log_schema"))
    return None if schema is None else str(schema)


def wanted(publication: Publication, table: Facts, *, schema: str) -> list[Trigger]:
    """Return the triggers that capture one table; `schema` is the log's."""
    arguments = Arguments.of(publication, table)
    place = (table.schema, table.table)
    kinds = ["row"] if table.level(publication.level) == "row" else ["insert", "update", "delete"]
    # Of a table with children alone, no truncate takes all rows that are read with it.
    kinds.append("truncate_partition" if table.children else "truncate")
    found = [make(kind, place, arguments, schema=schema) for kind in kinds]
    found += [make("truncate_partition", partition, arguments, schema=schema) for partition in table.partitions]
    for child in table.children:
        own = arguments.of_child(table, child)
        found += [make(kind, child.place, own, schema=schema) for kind in ("row", "truncate_partition")]
    return found


def make(kind: str, place: tuple[str, str], arguments: Arguments, *, schema: str) -> Trigger:
    """Return the trigger of this kind on a table, which calls a function of the log's `schema`."""
    statement = sql.compose(
        f"triggers/{kind}",
        name=psql.Identifier(PREFIX + kind),
        table=psql.Identifier(*place),
        schema=psql.Identifier(schema),
        arguments=psql.SQL(", ").join(map(psql.Literal, arguments.texts())),
    )
    return Trigger(schema=place[0], table=place[1], name=PREFIX + kind, statement=statement, arguments=arguments)


def plan(using: str = DEFAULT_DB_ALIAS) -> Plan | None:
    """Compare what is published with what is in the database; None where the database has no log."""
    schema = log_schema(using)
    if schema is None:
        return None
    needed: dict[Place, Trigger] = {}
    found: dict[str, Facts] = {}
    without: list[str] = []
    refused: dict[str, str] = {}
    published = list(publications(using))
    for publication, table in zip(published, tables.of(published, using), strict=True):
        if table is None:
            without.append(publication.label)
            continue
        triggers = {} if table.refusal else {one.place: one for one in wanted(publication, table, schema=schema)}
        shared = next((f"{s}.{t}" for s, t, _ in triggers.keys() & needed.keys()), None)
        if reason := table.refusal or (shared and f"another published model has its table {shared}"):
            refused[publication.label] = reason
        else:
            found[publication.label] = table
            needed |= triggers
    there, others = in_place(schema, using)
    taken = {(s, t): others[s, t, n].log for s, t, n in needed.keys() & others.keys()}
    needed = {place: trigger for place, trigger in needed.items() if place[:2] not in taken}
    actions = [Action(verb="drop", schema=s, table=t, name=n) for s, t, n in there.keys() - needed.keys()]
    for place, trigger in needed.items():
        if place not in there:
            actions.append(making("create", trigger))
        elif there[place].fingerprint != trigger.fingerprint:
            actions.append(making("replace", trigger))
    actions.sort(key=lambda action: (action.schema, action.table, action.name))
    actions[:0] = _replacing(functions.state(schema, using).differing, schema)
    return Plan(
        wanted=tuple(needed.values()),
        tables=found,
        actions=tuple(actions),
        without_table=tuple(without),
        taken=tuple(f"{s}.{t}, into the log of the schema {log}" for (s, t), log in sorted(taken.items())),
        refused=refused,
        exposed=_exposed(needed, there),
    )


def in_place(schema: str, using: str) -> tuple[dict[Place, InPlace], dict[Place, InPlace]]:
    """Return the triggers that write to the log in `schema`, and those that write to others."""
    rows = sql.run(using, sql.template("queries/capture/triggers"))
    found = {
        (s, t, n): InPlace(fingerprint=mark, log=log, arguments=Arguments.read(bytes(data)))
        for s, t, n, mark, log, data in rows
    }
    mine = {place: one for place, one in found.items() if one.log == schema}
    return mine, {place: one for place, one in found.items() if one.log != schema}


def _exposed(needed: dict[Place, Trigger], there: dict[Place, InPlace]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for place in needed.keys() & there.keys():
        told, new = there[place].arguments, needed[place].arguments
        shown = (new.hidden & {*(new.columns or ())}) - told.hidden
        found.setdefault(told.label, set()).update(shown if told.columns is None else shown & {*told.shown})
    return {label: tuple(sorted(names)) for label, names in sorted(found.items()) if names}


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

        return lock_retries.change(table, work, mode=mode, using=using)

    def waiting(left: list[tuple[str, str]]) -> None:
        for schema, table in left:
            held = lock_retries.holders((schema, table), using) or "others, one after the other,"
            say(f"pubsubpull: the triggers of {schema}.{table} wait for {held} to let go of it")

    within = conf.get().LOCK_WAIT if wait is None else wait
    left = set(lock_retries.each(tables, attempt, within=within, waiting=waiting))
    for schema, table in sorted(left):
        say(
            f"pubsubpull: the triggers of {schema}.{table} are as they were: for {within:g} s others had it locked. "
            "The next migrate, or pubsubpull_triggers --sync, does it."
        )
    return Synced(
        done=tuple(one for one in actions if (one.schema, one.table) not in left),
        left=tuple(one for one in actions if (one.schema, one.table) in left),
    )


def drop_all(schema: str, using: str) -> None:
    """Drop the triggers one table at a time where the log is to go: in one transaction, writers would wait.

    Raises `CommandError` where one cannot be dropped in time; the log is left as it is then.
    """
    actions = [Action(verb="drop", schema=s, table=t, name=n) for s, t, n in in_place(schema, using)[0]]
    if left := perform(actions, using).left:
        tables = ", ".join(sorted({f"{one.schema}.{one.table}" for one in left}))
        raise CommandError(
            f"The triggers of {tables} could not be dropped, since others had the table locked. The log is still "
            "there, and what is written there is captured. Run the command again."
        )


def making(verb: str, trigger: Trigger) -> Action:
    """Return the action that makes a trigger."""
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
