"""The difference between the published models and the installed triggers, as a list of actions."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from django.db import DEFAULT_DB_ALIAS

from pubsubpull.capture import functions, tables, triggers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pubsubpull.capture.tables import Facts
    from pubsubpull.capture.triggers import InstalledTrigger, QualifiedName, Trigger


@dataclasses.dataclass(frozen=True, kw_only=True)
class Action:
    """One step that makes the database agree with the publications."""

    verb: str
    """`create`, `replace` or `drop`."""
    schema: str
    """The table's schema; a function's own schema if the action is for a function."""
    table: str
    """The table's name; empty if the action is for a function."""
    name: str
    """The name of the trigger or function."""
    trigger: Trigger | None = None
    """The trigger to create or replace."""
    function: functions.Function | None = None
    """The function to replace."""

    @classmethod
    def of(cls, verb: str, trigger: Trigger) -> Action:
        """Return the action that creates or replaces a trigger."""
        return cls(verb=verb, schema=trigger.schema, table=trigger.table, name=trigger.name, trigger=trigger)

    def __str__(self) -> str:
        if self.function is not None:
            return f"{self.verb} the function {self.schema}.{self.name}"
        return f"{self.verb} {self.name} on {self.schema}.{self.table}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """The triggers that the publications need, and the actions that install them."""

    wanted: tuple[Trigger, ...]
    """Every trigger that should be installed."""
    tables: dict[str, Facts]
    """The tables that are captured, by label."""
    actions: tuple[Action, ...]
    """The steps that remain: functions first, then triggers by table and name. Empty if all is in order."""
    without_table: tuple[str, ...]
    """The labels of published models whose table this database does not have."""
    taken: tuple[str, ...]
    """A text for each table that another log captures already. The triggers of such a table stay as they are."""
    refused: dict[str, str]
    """The labels of published models whose tables cannot be captured, each with the reason."""
    exposed: dict[str, tuple[str, ...]]
    """By label, the columns that a publication hides and an installed trigger still writes into the log."""

    def gaps(self, using: str) -> list[str]:
        """Return a sentence for each publication that no action of the plan brings into the log."""
        sentences = [f"{label} is published but has no table in the database {using}" for label in self.without_table]
        sentences += [f"{table}, is captured already: a table is captured into one log" for table in self.taken]
        sentences += [f"{label} is published but not captured: {reason}" for label, reason in self.refused.items()]
        return sentences


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Publications:
    """The published models of one database, divided by whether their tables can be captured."""

    tables: dict[str, Facts]
    wanted: dict[QualifiedName, Trigger]
    without_table: tuple[str, ...]
    refused: dict[str, str]


def plan(using: str = DEFAULT_DB_ALIAS) -> Plan | None:
    """Compare the publications with the database `using`; return None if the database has no log."""
    schema = triggers.log_schema(using)
    if schema is None:
        return None
    published = _publications(schema, using)
    installed, foreign = triggers.installed(schema, using)
    # Two logs of one table would need two sets of triggers with the same names: the first log keeps the table.
    taken = {name[:2]: foreign[name] for name in published.wanted.keys() & foreign.keys()}
    wanted = {name: trigger for name, trigger in published.wanted.items() if name[:2] not in taken}
    # Functions come first: a trigger that calls a function which is not there yet would fail each write.
    actions = [*_functions(functions.state(schema, using).differing, schema), *_triggers(wanted, installed)]
    return Plan(
        wanted=tuple(wanted.values()),
        tables=published.tables,
        actions=tuple(actions),
        without_table=published.without_table,
        taken=tuple(f"{s}.{t}, into the log of the schema {log}" for (s, t), log in sorted(taken.items())),
        refused=published.refused,
        exposed=_exposed(wanted, installed),
    )


def _publications(schema: str, using: str) -> _Publications:
    """Sort the publications of a database by whether their tables can be captured into the log in `schema`."""
    published = list(triggers.publications(using))
    wanted: dict[QualifiedName, Trigger] = {}
    captured: dict[str, Facts] = {}
    without_table: list[str] = []
    refused: dict[str, str] = {}
    for publication, table in zip(published, tables.of(published, using), strict=True):
        if table is None:
            without_table.append(publication.label)
            continue
        new = [] if table.refusal else triggers.wanted(publication, table, schema=schema)
        shared = next((f"{t.schema}.{t.table}" for t in new if t.qualified_name in wanted), None)
        # The first publication of a table keeps it: two sets of triggers would log each change twice.
        if reason := table.refusal or (shared and f"another published model has its table {shared}"):
            refused[publication.label] = reason
            continue
        captured[publication.label] = table
        wanted |= {trigger.qualified_name: trigger for trigger in new}
    return _Publications(tables=captured, wanted=wanted, without_table=tuple(without_table), refused=refused)


def _functions(differing: Iterable[functions.Function], schema: str) -> list[Action]:
    return [
        Action(verb="replace", schema=schema, table="", name=function.name, function=function) for function in differing
    ]


def _triggers(
    wanted: Mapping[QualifiedName, Trigger], installed: Mapping[QualifiedName, InstalledTrigger]
) -> list[Action]:
    """Return the actions that turn the installed triggers into the wanted ones, sorted by table and name."""
    actions = [Action(verb="drop", schema=s, table=t, name=n) for s, t, n in installed.keys() - wanted.keys()]
    for name, trigger in wanted.items():
        if name not in installed:
            actions.append(Action.of("create", trigger))
        # Statements are not compared: PostgreSQL returns a trigger's definition in a form of its own.
        elif installed[name].fingerprint != trigger.fingerprint:
            actions.append(Action.of("replace", trigger))
    return sorted(actions, key=lambda action: (action.schema, action.table, action.name))


def _exposed(
    wanted: Mapping[QualifiedName, Trigger], installed: Mapping[QualifiedName, InstalledTrigger]
) -> dict[str, tuple[str, ...]]:
    """Return, by label, the columns that a wanted trigger hides and the installed one still logs."""
    exposed: dict[str, set[str]] = {}
    for name in wanted.keys() & installed.keys():
        old, new = installed[name].arguments, wanted[name].arguments
        if new.shown is None:
            continue
        columns = (new.hidden & {*(new.columns or ())}) - old.hidden
        # An installed trigger with a list of shown columns logs no column outside of it.
        exposed.setdefault(old.label, set()).update(columns if old.shown is None else columns & {*old.shown})
    return {label: tuple(sorted(names)) for label, names in sorted(exposed.items()) if names}
